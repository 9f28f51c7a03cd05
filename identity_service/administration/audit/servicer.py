"""AuditService."""

from collections.abc import AsyncIterator

from google.protobuf.empty_pb2 import Empty

from chassis import calls, paging
from chassis.calls import Context
from chassis.database import Database
from chassis.idempotency import write
from identity_service.administration.audit import commands, store
from identity_service.administration.audit.messages import to_message, to_row, to_verdict
from identity_service.administration.audit.types import ChainHead
from meno.access.v1.audit_service_pb2 import (
    ListAuditEntriesRequest,
    ListAuditEntriesResponse,
    RecordAuditEntriesRequest,
    VerifyAuditChainRequest,
    VerifyAuditChainResponse,
)

_MAX_SEQUENCE = 2**62


class AuditServicer:
    """Serves the audit log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def RecordAuditEntries(self, request: RecordAuditEntriesRequest, context: Context) -> Empty:
        service = calls.peer(context) or ""
        async with write(self._database) as transaction:
            await commands.append(transaction, [to_row(service, entry) for entry in request.entries])
            return transaction.respond(Empty())

    async def ListAuditEntries(
        self, request: ListAuditEntriesRequest, context: Context
    ) -> ListAuditEntriesResponse:
        (before,) = paging.decode_page_token(request, (_MAX_SEQUENCE,))
        rows = await store.list_before(
            self._database,
            before,
            paging.size(request) + 1,
            user_id=request.user_id,
            actor_user_id=request.actor_user_id,
            class_id=request.class_id,
        )
        rows, next_page_token = paging.page(request, rows, lambda row: (row.sequence,))
        return ListAuditEntriesResponse(entries=map(to_message, rows), next_page_token=next_page_token)

    async def VerifyAuditChain(
        self, request: VerifyAuditChainRequest, context: Context
    ) -> AsyncIterator[VerifyAuditChainResponse]:
        digest = bytes.fromhex(request.known_digest)
        known = ChainHead(request.known_sequence, digest) if digest else None
        async for verification in commands.verify(self._database, known):
            yield VerifyAuditChainResponse(verified_count=verification.head.sequence)
        yield VerifyAuditChainResponse(done=to_verdict(verification))
