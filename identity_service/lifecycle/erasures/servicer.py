"""The part of UserService that is about erasures."""

from datetime import datetime

from google.protobuf.empty_pb2 import Empty

from chassis import calls
from chassis.calls import Context
from chassis.database import Database, Executor
from chassis.idempotency import write
from chassis.conversions import to_timestamp
from identity_service.errors import ErasureNotFound, UserNotFound
from identity_service.lifecycle import removal
from identity_service.lifecycle.erasures import erasing, store
from identity_service.people.users import store as users
from meno.access.v1.account_feed_service_pb2 import ReportErasureRequest
from meno.identity.v1.user_service_pb2 import EraseUserRequest, Erasure, GetErasureRequest

SERVICES = frozenset({"identity_service", "content_service", "session_service", "chat_service"})
"""Whose receipts make an erasure complete."""


class ErasureServicer:
    """Erases people, and shows the receipts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def EraseUser(self, request: EraseUserRequest, context: Context) -> Erasure:
        async with write(self._database) as transaction:
            user = await users.locked(transaction, request.user_id, deleted=True)
            if user is not None:
                await removal.check_removable(transaction, user)
                await erasing.erase(transaction, request.user_id)
            elif await store.get(transaction, request.user_id) is None:
                raise UserNotFound(request.user_id)
            return transaction.respond(await _erasure(transaction, request.user_id))

    async def GetErasure(self, request: GetErasureRequest, context: Context) -> Erasure:
        return await _erasure(self._database, request.user_id)


class ErasureReportServicer:
    """The part of AccountFeedService that stores the erasure receipts of the other services."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ReportErasure(self, request: ReportErasureRequest, context: Context) -> Empty:
        async with write(self._database) as transaction:
            service = calls.peer(context) or ""
            await store.add_receipt(transaction, request.user_id, service, request.rows)
            return transaction.respond(Empty())


async def _erasure(executor: Executor, user_id: str) -> Erasure:
    begun = await store.get(executor, user_id)
    if begun is None:
        raise ErasureNotFound(user_id)
    rows = await store.receipts(executor, user_id)
    receipts = [
        Erasure.Receipt(service=row.service, rows=row.rows, create_time=to_timestamp(row.created_at))
        for row in rows
    ]
    return Erasure(
        user_id=user_id,
        create_time=to_timestamp(begun),
        complete_time=to_timestamp(_completed(begun, {row.service: row.created_at for row in rows})),
        receipts=receipts,
    )


def _completed(begun: datetime, done: dict[str, datetime]) -> datetime | None:
    return max(begun, *done.values()) if done.keys() >= SERVICES else None
