"""The account feed, read from its table."""

from collections.abc import AsyncIterator
from datetime import timedelta

from google.protobuf.json_format import ParseDict

from chassis.bell import Bell
from chassis.database import Database
from chassis.rights import REPLAY, Position
from identity_service.account_feed import store
from identity_service.account_feed.store import RING, EventRow
from meno.access.v1.account_feed_service_pb2 import AccountEvent, WatchAccountEventsResponse

HEARTBEAT = 1.0


class Feed:
    """The feed, for this service's own guard and for those of the others."""

    def __init__(self, database: Database, bell: Bell) -> None:
        self._database = database
        self._bell = bell

    async def follow(
        self, after: Position, max_age: timedelta = REPLAY
    ) -> AsyncIterator[WatchAccountEventsResponse]:
        """Yields the epoch, what was kept, then what happens, with a heartbeat whenever there is nothing more."""
        epoch = await store.epoch(self._database)
        yield WatchAccountEventsResponse(epoch=epoch)
        sequence = after.sequence if after.epoch == epoch else 0
        sequence = sequence or await store.before_age(self._database, max_age)
        with self._bell.listen(RING) as rung:
            while True:
                while rows := await store.after(self._database, sequence):
                    for row in rows:
                        sequence = row.sequence
                        yield WatchAccountEventsResponse(event=_message(row))
                heartbeat = WatchAccountEventsResponse.Heartbeat(sequence=sequence)
                yield WatchAccountEventsResponse(heartbeat=heartbeat)
                await rung.wait(HEARTBEAT)


def _message(row: EventRow) -> AccountEvent:
    event = ParseDict({row.kind: row.body}, AccountEvent())
    event.sequence = row.sequence
    event.create_time.FromDatetime(row.created_at)
    return event
