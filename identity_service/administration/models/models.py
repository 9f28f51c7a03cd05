"""The part of AdminService that is about models."""

from typing import Any

from google.protobuf.empty_pb2 import Empty

from chassis import audit, etags, paging
from chassis.calls import Context
from chassis.database import Database, Transaction
from chassis.idempotency import write
from chassis.wire import timestamp
from identity_service.administration.models import backend_store, rules
from identity_service.administration.models import model_store as store
from identity_service.administration.models.model_store import Asked, ModelRow
from identity_service.errors import ModelBackendNotFound, ModelInUse, ModelNotFound, NameTaken
from meno.access.v1.audit_service_pb2 import AuditAction
from meno.identity.v1.admin_service_pb2 import (
    CreateModelRequest,
    DeleteModelRequest,
    GetModelRequest,
    ListModelsRequest,
    ListModelsResponse,
    Model,
    UpdateModelRequest,
)


class ModelServicer:
    """The models of the backends."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def CreateModel(self, request: CreateModelRequest, context: Context) -> Model:
        async with write(self._database) as transaction:
            if not await backend_store.held(transaction, request.backend_id):
                raise ModelBackendNotFound(request.backend_id)
            row = await store.add(transaction, request.backend_id, _asked(request))
            if row is None:
                raise NameTaken(request.model_name)
            await audit.record(transaction, AuditAction.AUDIT_ACTION_MODEL_CREATED, resource_id=row.model_id)
            return transaction.answer(_model(row))

    async def GetModel(self, request: GetModelRequest, context: Context) -> Model:
        row = await store.get(self._database, request.model_id)
        if row is None:
            raise ModelNotFound(request.model_id)
        return _model(row)

    async def ListModels(self, request: ListModelsRequest, context: Context) -> ListModelsResponse:
        (after,) = paging.position(request, (paging.BEFORE_ALL_IDS,))
        rows = await store.after(self._database, after, paging.size(request) + 1)
        rows, following = paging.page(request, rows, lambda row: (row.model_id,))
        return ListModelsResponse(models=map(_model, rows), next_page_token=following)

    async def UpdateModel(self, request: UpdateModelRequest, context: Context) -> Model:
        async with write(self._database) as transaction:
            row = await _locked(transaction, request.model_id, request.etag)
            asked = row.asked._replace(**_said(request))
            changed = await store.change(transaction, row.model_id, asked)
            if changed is None:
                raise NameTaken(asked.model_name)
            await audit.record(transaction, AuditAction.AUDIT_ACTION_MODEL_UPDATED, resource_id=row.model_id)
            return transaction.answer(_model(changed))

    async def DeleteModel(self, request: DeleteModelRequest, context: Context) -> Empty:
        async with write(self._database) as transaction:
            row = await _locked(transaction, request.model_id, request.etag)
            if not await store.remove(transaction, row.model_id):
                raise ModelInUse(row.model_id)
            await audit.record(transaction, AuditAction.AUDIT_ACTION_MODEL_DELETED, resource_id=row.model_id)
            return transaction.answer(Empty())


async def _locked(transaction: Transaction, model_id: str, etag: str) -> ModelRow:
    row = await store.locked(transaction, model_id)
    if row is None:
        raise ModelNotFound(model_id)
    etags.check(etag, row.version)
    return row


def _asked(request: CreateModelRequest) -> Asked:
    # 0 is a temperature, and no length of an answer.
    temperature = request.temperature if request.HasField("temperature") else rules.DEFAULT_TEMPERATURE
    return Asked(request.model_name, temperature, request.max_output or rules.DEFAULT_MAX_OUTPUT)


def _said(request: UpdateModelRequest) -> dict[str, Any]:
    """What becomes of a model: the fields that are set."""
    return {field.name: value for field, value in request.ListFields() if field.name in Asked._fields}


def _model(row: ModelRow) -> Model:
    return Model(
        model_id=row.model_id,
        backend_id=row.backend_id,
        model_name=row.model_name,
        temperature=row.temperature,
        max_output=row.max_output,
        create_time=timestamp(row.created_at),
        update_time=timestamp(row.updated_at),
        etag=etags.etag(row.version),
    )
