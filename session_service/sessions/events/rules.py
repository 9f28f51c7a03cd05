"""Rules of events: a client_event_id identifies one event of a session."""

from collections.abc import Iterable, Sequence

from chassis import structs
from session_service.errors import EventIdReused
from session_service.sessions.events.types import EventRow, NewEvent


def check_distinct(events: Iterable[NewEvent]) -> None:
    """Raises EventIdReused if two events of a batch have the same client_event_id."""
    ids = set()
    for event in events:
        if event.client_event_id in ids:
            raise EventIdReused(event.client_event_id)
        ids.add(event.client_event_id)


def missing_events(events: Sequence[NewEvent], existing: Iterable[EventRow]) -> list[NewEvent]:
    """Returns the events that the session does not contain.

    Raises EventIdReused if the session contains a different event with the same client_event_id.
    """
    by_id = {row.client_event_id: row for row in existing}
    for event in events:
        if event.client_event_id in by_id and not _is_duplicate(event, by_id[event.client_event_id]):
            raise EventIdReused(event.client_event_id)
    return [event for event in events if event.client_event_id not in by_id]


def _is_duplicate(event: NewEvent, row: EventRow) -> bool:
    payload = None if row.payload is None else structs.canonicalize(row.payload)
    return event == NewEvent(row.client_event_id, row.kind, row.step, payload)
