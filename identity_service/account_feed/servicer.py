"""AccountFeedService."""

from collections.abc import AsyncIterator

from chassis.calls import Context
from chassis.revocation import REPLAY_WINDOW, Position
from identity_service.account_feed.feed import Feed
from meno.access.v1.account_feed_service_pb2 import (
    WatchAccountEventsRequest,
    WatchAccountEventsResponse,
)


class AccountFeedServicer:
    """The part of AccountFeedService that streams the account feed."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    async def WatchAccountEvents(
        self, request: WatchAccountEventsRequest, context: Context
    ) -> AsyncIterator[WatchAccountEventsResponse]:
        age = request.max_age.ToTimedelta() if request.HasField("max_age") else REPLAY_WINDOW
        async for step in self._feed.follow(Position(request.epoch, request.after_sequence), age):
            yield step
