"""The RPCs of AdminService for model backends."""

from chassis import paging
from chassis.calls import Context, caller
from chassis.database import Database
from chassis.idempotency import write
from identity_service import reauthentication
from identity_service.administration.config.reader import ConfigReader
from identity_service.administration.models.backends import commands, probe, rules, store
from identity_service.administration.models.backends.messages import (
    read_changes,
    to_fields,
    to_message,
    to_test,
)
from identity_service.administration.models.backends.types import EgressPolicy
from meno.identity.v1.admin_service_pb2 import (
    CreateModelBackendRequest,
    DeleteModelBackendRequest,
    GetModelBackendRequest,
    ListModelBackendsRequest,
    ListModelBackendsResponse,
    TestModelBackendRequest,
    UndeleteModelBackendRequest,
    UpdateModelBackendRequest,
)
from meno.identity.v1.resources_pb2 import ModelBackend, ModelBackendTest


class BackendServicer:
    """Serves model backends."""

    def __init__(self, database: Database, policy: EgressPolicy, config: ConfigReader) -> None:
        self._database = database
        self._policy = policy
        self._config = config

    async def CreateModelBackend(self, request: CreateModelBackendRequest, context: Context) -> ModelBackend:
        async with write(self._database) as transaction:
            await reauthentication.check(transaction, caller())
            row = await commands.create_backend(transaction, self._policy, to_fields(request))
            return transaction.respond(to_message(row))

    async def GetModelBackend(self, request: GetModelBackendRequest, context: Context) -> ModelBackend:
        return to_message(await commands.get_backend(self._database, request.backend_id))

    async def ListModelBackends(
        self, request: ListModelBackendsRequest, context: Context
    ) -> ListModelBackendsResponse:
        (after_id,) = paging.decode_page_token(request, (paging.MIN_UUID,))
        limit = paging.size(request) + 1
        rows = await store.list_after(self._database, after_id, limit, show_deleted=request.show_deleted)
        days = await self._config.value(self._database, rules.PURGE_DAYS)
        rows, next_page_token = paging.page(request, rows, lambda row: (row.backend_id,))
        backends = (to_message(row, days) for row in rows)
        return ListModelBackendsResponse(backends=backends, next_page_token=next_page_token)

    async def UpdateModelBackend(self, request: UpdateModelBackendRequest, context: Context) -> ModelBackend:
        async with write(self._database) as transaction:
            await reauthentication.check(transaction, caller())
            row = await commands.update_backend(
                transaction, self._policy, request.backend_id, request.etag, read_changes(request)
            )
            return transaction.respond(to_message(row))

    async def DeleteModelBackend(self, request: DeleteModelBackendRequest, context: Context) -> ModelBackend:
        async with write(self._database) as transaction:
            by_user_id = caller().user_id
            row = await commands.delete_backend(transaction, request.backend_id, request.etag, by_user_id)
            days = await self._config.value(transaction, rules.PURGE_DAYS)
            return transaction.respond(to_message(row, days))

    async def UndeleteModelBackend(
        self, request: UndeleteModelBackendRequest, context: Context
    ) -> ModelBackend:
        async with write(self._database) as transaction:
            await reauthentication.check(transaction, caller())
            row = await commands.undelete_backend(transaction, request.backend_id)
            return transaction.respond(to_message(row))

    async def TestModelBackend(self, request: TestModelBackendRequest, context: Context) -> ModelBackendTest:
        async with self._database.transaction() as transaction:
            row = await commands.begin_test(transaction, request.backend_id)
        return to_test(await probe.probe(row.fields(), self._policy))
