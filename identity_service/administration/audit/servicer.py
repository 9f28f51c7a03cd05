"""AuditService."""

from collections.abc import AsyncIterator

from google.protobuf.empty_pb2 import Empty

from chassis import calls, paging
from chassis.calls import Context
from chassis.database import Database, Statement
from chassis.idempotency import write
from identity_service.administration.audit import chain, store
from identity_service.administration.audit.store import EntryRow, Head
from meno.access.v1.audit_service_pb2 import (
    ListAuditEntriesRequest,
    ListAuditEntriesResponse,
    RecordAuditEntriesRequest,
    VerifyAuditChainRequest,
    VerifyAuditChainResponse,
)
from meno.access.v1.audit_service_pb2_grpc import AuditServiceServicer

_AFTER_ALL = 2**62


class AuditServicer(AuditServiceServicer):
    """Keeps the chain, shows it and verifies it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def RecordAuditEntries(self, request: RecordAuditEntriesRequest, context: Context) -> Empty:
        async with write(self._database) as transaction:
            await chain.append(transaction, calls.peer(context) or "", request.entries)
            return transaction.answer(Empty())

    async def ListAuditEntries(
        self, request: ListAuditEntriesRequest, context: Context
    ) -> ListAuditEntriesResponse:
        query, of = _asked(request)
        (before,) = paging.position(request, (_AFTER_ALL,))
        rows = await store.page(self._database, query, before, paging.size(request) + 1, of)
        rows, following = paging.page(request, rows, lambda row: (row.sequence,))
        return ListAuditEntriesResponse(entries=map(chain.message, rows), next_page_token=following)

    async def VerifyAuditChain(
        self, request: VerifyAuditChainRequest, context: Context
    ) -> AsyncIterator[VerifyAuditChainResponse]:
        digest = bytes.fromhex(request.known_digest)
        known = Head(request.known_sequence, digest) if digest else None
        async for verified in chain.verify(self._database, known):
            yield VerifyAuditChainResponse(verified_count=verified.head.sequence)
        verdict = VerifyAuditChainResponse.Verdict(
            unbroken=not verified.broken_at,
            broken_sequence=verified.broken_at,
            head_sequence=verified.head.sequence,
            head_digest=verified.head.digest.hex() if verified.head.sequence else "",
        )
        yield VerifyAuditChainResponse(done=verdict)


def _asked(request: ListAuditEntriesRequest) -> tuple[Statement[EntryRow], str]:
    if request.user_id:
        return store.OF_USER, request.user_id
    if request.actor_user_id:
        return store.BY_ACTOR, request.actor_user_id
    if request.class_id:
        return store.IN_CLASS, request.class_id
    return store.ALL, ""
