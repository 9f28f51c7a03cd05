"""The RPCs of AdminService for models."""

from chassis import paging
from chassis.calls import Context, caller
from chassis.database import Database
from chassis.idempotency import write
from identity_service.administration.config.reader import ConfigReader
from identity_service.administration.models import commands, store
from identity_service.administration.models.backends import rules
from identity_service.administration.models.messages import read_changes, to_fields, to_message
from meno.identity.v1.admin_service_pb2 import (
    CreateModelRequest,
    DeleteModelRequest,
    GetModelRequest,
    ListModelsRequest,
    ListModelsResponse,
    UndeleteModelRequest,
    UpdateModelRequest,
)
from meno.identity.v1.resources_pb2 import Model


class ModelServicer:
    """Serves the models of the backends."""

    def __init__(self, database: Database, config: ConfigReader) -> None:
        self._database = database
        self._config = config

    async def CreateModel(self, request: CreateModelRequest, context: Context) -> Model:
        async with write(self._database) as transaction:
            row = await commands.create_model(transaction, request.backend_id, to_fields(request))
            return transaction.respond(to_message(row))

    async def GetModel(self, request: GetModelRequest, context: Context) -> Model:
        return to_message(await commands.get_model(self._database, request.model_id))

    async def ListModels(self, request: ListModelsRequest, context: Context) -> ListModelsResponse:
        (after_id,) = paging.decode_page_token(request, (paging.MIN_UUID,))
        limit = paging.size(request) + 1
        rows = await store.list_after(self._database, after_id, limit, show_deleted=request.show_deleted)
        days = await self._config.value(self._database, rules.PURGE_DAYS)
        rows, next_page_token = paging.page(request, rows, lambda row: (row.model_id,))
        models = (to_message(row, days) for row in rows)
        return ListModelsResponse(models=models, next_page_token=next_page_token)

    async def UpdateModel(self, request: UpdateModelRequest, context: Context) -> Model:
        async with write(self._database) as transaction:
            row = await commands.update_model(
                transaction, request.model_id, request.etag, read_changes(request)
            )
            return transaction.respond(to_message(row))

    async def DeleteModel(self, request: DeleteModelRequest, context: Context) -> Model:
        async with write(self._database) as transaction:
            by_user_id = caller().user_id
            row = await commands.delete_model(transaction, request.model_id, request.etag, by_user_id)
            days = await self._config.value(transaction, rules.PURGE_DAYS)
            return transaction.respond(to_message(row, days))

    async def UndeleteModel(self, request: UndeleteModelRequest, context: Context) -> Model:
        async with write(self._database) as transaction:
            row = await commands.undelete_model(transaction, request.model_id)
            return transaction.respond(to_message(row))
