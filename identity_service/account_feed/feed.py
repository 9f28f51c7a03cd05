"""Reads the account feed from its table and follows it."""

from collections.abc import AsyncIterator
from datetime import timedelta

from chassis.database import Database
from chassis.notifications import Notifier
from chassis.revocation import REPLAY_WINDOW, Position
from identity_service.account_feed import store
from identity_service.account_feed.messages import to_message
from meno.access.v1.account_feed_service_pb2 import WatchAccountEventsResponse

HEARTBEAT_SECONDS = 1.0


class Feed:
    """The account feed. The interceptors of this service and the other services follow it."""

    def __init__(self, database: Database, notifier: Notifier) -> None:
        self._database = database
        self._notifier = notifier

    async def follow(
        self, after: Position, max_age: timedelta = REPLAY_WINDOW
    ) -> AsyncIterator[WatchAccountEventsResponse]:
        """Yields the epoch, the stored events after a position, and then new events.

        Without a position in the current epoch, the replay begins `max_age` ago. A heartbeat is yielded each
        time that all events have been read.
        """
        epoch = await store.get_epoch(self._database)
        yield WatchAccountEventsResponse(epoch=epoch)
        if after.epoch == epoch:
            # 0 is the position of a follower that began before the first event.
            sequence = after.sequence
        else:
            sequence = await store.get_last_sequence_before(self._database, max_age)
        with self._notifier.subscribe(store.CHANNEL) as subscription:
            while True:
                while rows := await store.list_after(self._database, sequence):
                    for row in rows:
                        sequence = row.sequence
                        yield WatchAccountEventsResponse(event=to_message(row))
                heartbeat = WatchAccountEventsResponse.Heartbeat(sequence=sequence)
                yield WatchAccountEventsResponse(heartbeat=heartbeat)
                await subscription.wait(HEARTBEAT_SECONDS)
