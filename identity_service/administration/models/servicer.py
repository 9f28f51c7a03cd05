"""The RPCs of AdminService for models."""

from google.protobuf.empty_pb2 import Empty

from chassis import paging
from chassis.calls import Context
from chassis.database import Database
from chassis.idempotency import write
from identity_service.administration.models import commands, store
from identity_service.administration.models.messages import read_changes, to_fields, to_message
from meno.identity.v1.admin_service_pb2 import (
    CreateModelRequest,
    DeleteModelRequest,
    GetModelRequest,
    ListModelsRequest,
    ListModelsResponse,
    UpdateModelRequest,
)
from meno.identity.v1.resources_pb2 import Model


class ModelServicer:
    """Serves the models of the backends."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def CreateModel(self, request: CreateModelRequest, context: Context) -> Model:
        async with write(self._database) as transaction:
            row = await commands.create_model(transaction, request.backend_id, to_fields(request))
            return transaction.respond(to_message(row))

    async def GetModel(self, request: GetModelRequest, context: Context) -> Model:
        return to_message(await commands.get_model(self._database, request.model_id))

    async def ListModels(self, request: ListModelsRequest, context: Context) -> ListModelsResponse:
        (after_id,) = paging.decode_page_token(request, (paging.MIN_UUID,))
        rows = await store.list_after(self._database, after_id, paging.size(request) + 1)
        rows, next_page_token = paging.page(request, rows, lambda row: (row.model_id,))
        return ListModelsResponse(models=map(to_message, rows), next_page_token=next_page_token)

    async def UpdateModel(self, request: UpdateModelRequest, context: Context) -> Model:
        async with write(self._database) as transaction:
            row = await commands.update_model(
                transaction, request.model_id, request.etag, read_changes(request)
            )
            return transaction.respond(to_message(row))

    async def DeleteModel(self, request: DeleteModelRequest, context: Context) -> Empty:
        async with write(self._database) as transaction:
            await commands.delete_model(transaction, request.model_id, request.etag)
            return transaction.respond(Empty())
