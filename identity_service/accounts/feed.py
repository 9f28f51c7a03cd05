"""The account feed, read from its table."""

from collections.abc import AsyncIterator
from datetime import timedelta

from chassis.bell import Bell
from chassis.database import Database
from chassis.rights import REPLAY
from chassis.wire import timestamp
from identity_service.accounts import store
from identity_service.accounts.store import EventRow
from meno.access.v1.account_feed_service_pb2 import AccountEvent, WatchAccountEventsResponse

RING = "account_feed"
HEARTBEAT = 1.0


class Feed:
    """The feed, for this service's own guard and for those of the others."""

    def __init__(self, database: Database, bell: Bell) -> None:
        self._database = database
        self._bell = bell

    def rang(self) -> None:
        """Call it after the commit of a transaction that appended an event."""
        self._bell.ring(RING)

    async def follow(
        self, after_sequence: int, max_age: timedelta = REPLAY
    ) -> AsyncIterator[WatchAccountEventsResponse]:
        """Yields what was kept, then what happens, with a heartbeat whenever there is nothing more."""
        sequence = after_sequence or await store.before_age(self._database, max_age)
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
    lost = AccountEvent.RightsLost(user_id=row.user_id, rights_version=row.rights_version)
    return AccountEvent(sequence=row.sequence, create_time=timestamp(row.created_at), rights_lost=lost)
