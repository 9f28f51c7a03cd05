"""The part of AdminService that is about model backends."""

from typing import Any

from google.protobuf.empty_pb2 import Empty

from chassis import audit, etags, paging
from chassis.calls import Context
from chassis.database import Database, Transaction
from chassis.idempotency import write
from chassis.wire import Spelling, timestamp
from identity_service.administration.models import backend_store as store
from identity_service.administration.models import probe, rules
from identity_service.administration.models.backend_store import Backend, BackendRow
from identity_service.administration.models.rules import Reach
from identity_service.errors import ModelBackendInUse, ModelBackendNotFound, NameTaken
from meno.access.v1.audit_service_pb2 import AuditAction
from meno.identity.v1.admin_service_pb2 import (
    CreateModelBackendRequest,
    DeleteModelBackendRequest,
    GetModelBackendRequest,
    ListModelBackendsRequest,
    ListModelBackendsResponse,
    ModelBackend,
    ModelBackendTest,
    ModelProvider,
    TestModelBackendRequest,
    UpdateModelBackendRequest,
)

PROVIDERS = Spelling(ModelProvider)


class BackendServicer:
    """Where language models are."""

    def __init__(self, database: Database, reach: Reach) -> None:
        self._database = database
        self._reach = reach

    async def CreateModelBackend(self, request: CreateModelBackendRequest, context: Context) -> ModelBackend:
        provider = PROVIDERS.text(request.provider)
        backend = Backend(request.name, provider, request.base_url, request.key_reference)
        self._check(provider, request)
        async with write(self._database) as transaction:
            row = await store.add(transaction, backend)
            if row is None:
                raise NameTaken(request.name)
            await audit.record(
                transaction, AuditAction.AUDIT_ACTION_MODEL_BACKEND_CREATED, resource_id=row.backend_id
            )
            return transaction.answer(_backend(row))

    async def GetModelBackend(self, request: GetModelBackendRequest, context: Context) -> ModelBackend:
        return _backend(await self._found(request.backend_id))

    async def ListModelBackends(
        self, request: ListModelBackendsRequest, context: Context
    ) -> ListModelBackendsResponse:
        (after,) = paging.position(request, (paging.BEFORE_ALL_IDS,))
        rows = await store.after(self._database, after, paging.size(request) + 1)
        rows, following = paging.page(request, rows, lambda row: (row.backend_id,))
        return ListModelBackendsResponse(backends=map(_backend, rows), next_page_token=following)

    async def UpdateModelBackend(self, request: UpdateModelBackendRequest, context: Context) -> ModelBackend:
        async with write(self._database) as transaction:
            row = await _locked(transaction, request.backend_id, request.etag)
            self._check(row.provider, request)
            backend = row.said._replace(**_said(request))
            changed = await store.change(transaction, row.backend_id, backend)
            if changed is None:
                raise NameTaken(backend.name)
            await audit.record(
                transaction, AuditAction.AUDIT_ACTION_MODEL_BACKEND_UPDATED, resource_id=row.backend_id
            )
            return transaction.answer(_backend(changed))

    async def DeleteModelBackend(self, request: DeleteModelBackendRequest, context: Context) -> Empty:
        async with write(self._database) as transaction:
            row = await _locked(transaction, request.backend_id, request.etag)
            if not await store.remove(transaction, row.backend_id):
                raise ModelBackendInUse(row.backend_id)
            await audit.record(
                transaction, AuditAction.AUDIT_ACTION_MODEL_BACKEND_DELETED, resource_id=row.backend_id
            )
            return transaction.answer(Empty())

    async def TestModelBackend(self, request: TestModelBackendRequest, context: Context) -> ModelBackendTest:
        row = await self._found(request.backend_id)
        tested = await probe.ask(row.said, self._reach)
        return ModelBackendTest(
            reachable=not tested.problem,
            problem=tested.problem,
            milliseconds=tested.milliseconds,
            model_names=tested.model_names,
        )

    def _check(self, provider: str, request: CreateModelBackendRequest | UpdateModelBackendRequest) -> None:
        rules.check(provider, self._reach, base_url=request.base_url, key_reference=request.key_reference)

    async def _found(self, backend_id: str) -> BackendRow:
        row = await store.get(self._database, backend_id)
        if row is None:
            raise ModelBackendNotFound(backend_id)
        return row


async def _locked(transaction: Transaction, backend_id: str, etag: str) -> BackendRow:
    row = await store.locked(transaction, backend_id)
    if row is None:
        raise ModelBackendNotFound(backend_id)
    etags.check(etag, row.version)
    return row


def _said(request: UpdateModelBackendRequest) -> dict[str, Any]:
    """What becomes of a backend: the fields that are set."""
    return {field.name: value for field, value in request.ListFields() if field.name in Backend._fields}


def _backend(row: BackendRow) -> ModelBackend:
    return ModelBackend(
        backend_id=row.backend_id,
        name=row.name,
        provider=PROVIDERS.number(row.provider),
        base_url=row.base_url,
        key_reference=row.key_reference,
        enabled=row.enabled,
        create_time=timestamp(row.created_at),
        update_time=timestamp(row.updated_at),
        etag=etags.etag(row.version),
    )
