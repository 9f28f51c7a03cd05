"""AccountFeedService."""

from collections.abc import AsyncIterator

from google.protobuf.empty_pb2 import Empty

from chassis import calls
from chassis.calls import Context
from chassis.database import Database
from chassis.idempotency import write
from chassis.rights import REPLAY, Position
from identity_service.account_feed.feed import Feed
from identity_service.lifecycle.erasures import store as erasures
from meno.access.v1.account_feed_service_pb2 import (
    ReportErasureRequest,
    WatchAccountEventsRequest,
    WatchAccountEventsResponse,
)
from meno.access.v1.account_feed_service_pb2_grpc import AccountFeedServiceServicer


class AccountFeedServicer(AccountFeedServiceServicer):
    """Lets the other services follow the feed, and say what they have done."""

    def __init__(self, database: Database, feed: Feed) -> None:
        self._database = database
        self._feed = feed

    async def WatchAccountEvents(
        self, request: WatchAccountEventsRequest, context: Context
    ) -> AsyncIterator[WatchAccountEventsResponse]:
        age = request.max_age.ToTimedelta() if request.HasField("max_age") else REPLAY
        async for step in self._feed.follow(Position(request.epoch, request.after_sequence), age):
            yield step

    async def ReportErasure(self, request: ReportErasureRequest, context: Context) -> Empty:
        async with write(self._database) as transaction:
            service = calls.peer(context) or ""
            await erasures.add_receipt(transaction, request.user_id, service, request.rows)
            return transaction.answer(Empty())
