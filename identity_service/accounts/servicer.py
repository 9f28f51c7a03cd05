"""AccountFeedService."""

from collections.abc import AsyncIterator

from chassis.calls import Context
from chassis.rights import REPLAY
from identity_service.accounts.feed import Feed
from meno.access.v1.account_feed_service_pb2 import WatchAccountEventsRequest, WatchAccountEventsResponse
from meno.access.v1.account_feed_service_pb2_grpc import AccountFeedServiceServicer


class AccountFeedServicer(AccountFeedServiceServicer):
    """Lets the other services follow the feed."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    async def WatchAccountEvents(
        self, request: WatchAccountEventsRequest, context: Context
    ) -> AsyncIterator[WatchAccountEventsResponse]:
        age = request.max_age.ToTimedelta() if request.HasField("max_age") else REPLAY
        async for step in self._feed.follow(request.after_sequence, age):
            yield step
