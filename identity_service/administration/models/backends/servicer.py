"""The RPCs of AdminService for model backends."""

from google.protobuf.empty_pb2 import Empty

from chassis import paging
from chassis.calls import Context, caller
from chassis.database import Database
from chassis.idempotency import write
from identity_service import reauthentication
from identity_service.administration.models.backends import commands, probe, store
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
    UpdateModelBackendRequest,
)
from meno.identity.v1.resources_pb2 import ModelBackend, ModelBackendTest


class BackendServicer:
    """Serves model backends."""

    def __init__(self, database: Database, policy: EgressPolicy) -> None:
        self._database = database
        self._policy = policy

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
        rows = await store.list_after(self._database, after_id, paging.size(request) + 1)
        rows, next_page_token = paging.page(request, rows, lambda row: (row.backend_id,))
        return ListModelBackendsResponse(backends=map(to_message, rows), next_page_token=next_page_token)

    async def UpdateModelBackend(self, request: UpdateModelBackendRequest, context: Context) -> ModelBackend:
        async with write(self._database) as transaction:
            await reauthentication.check(transaction, caller())
            row = await commands.update_backend(
                transaction, self._policy, request.backend_id, request.etag, read_changes(request)
            )
            return transaction.respond(to_message(row))

    async def DeleteModelBackend(self, request: DeleteModelBackendRequest, context: Context) -> Empty:
        async with write(self._database) as transaction:
            await commands.delete_backend(transaction, request.backend_id, request.etag)
            return transaction.respond(Empty())

    async def TestModelBackend(self, request: TestModelBackendRequest, context: Context) -> ModelBackendTest:
        async with self._database.transaction() as transaction:
            row = await commands.begin_test(transaction, request.backend_id)
        return to_test(await probe.probe(row.fields(), self._policy))
