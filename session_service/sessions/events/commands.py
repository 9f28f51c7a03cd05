"""Use cases of events."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from chassis.database import Database, Transaction
from chassis.idempotency import write
from chassis.notifications import Notifier
from meno.session.v1.event_service_pb2 import AppendEventsResponse
from session_service.errors import SessionCompleted, SessionNotFound
from session_service.sessions import store as sessions
from session_service.sessions.events import messages, rules, store
from session_service.sessions.events.store import SequenceConflict
from session_service.sessions.events.types import EventRow, NewEvent

_Append: TypeAlias = Callable[[Transaction, str, str, Sequence[NewEvent]], Awaitable[list[EventRow]]]


async def append_events(
    database: Database, notifier: Notifier, user_id: str, session_id: str, events: Sequence[NewEvent]
) -> AppendEventsResponse:
    """Appends a batch of events to a session. Events that the session contains already are returned unchanged.

    Raises SessionNotFound, SessionCompleted, and EventIdReused if a client_event_id identifies two different
    events.
    """
    rules.check_distinct(events)
    try:
        # Usually all events are new: then one statement without a prior lock is enough.
        response = await _write(database, user_id, session_id, events, store.append)
    except SequenceConflict:
        response = await _write(database, user_id, session_id, events, _append_missing)
    notifier.notify(session_id)
    return response


async def _write(
    database: Database, user_id: str, session_id: str, events: Sequence[NewEvent], append: _Append
) -> AppendEventsResponse:
    async with write(database) as transaction:
        rows = {row.client_event_id: row for row in await append(transaction, user_id, session_id, events)}
        appended = await messages.to_messages([rows[event.client_event_id] for event in events])
        return transaction.respond(AppendEventsResponse(events=appended))


async def _append_missing(
    transaction: Transaction, user_id: str, session_id: str, events: Sequence[NewEvent]
) -> list[EventRow]:
    """Locks the session, appends the events that it does not contain, and returns the rows of all events."""
    session = await sessions.get_for_update(transaction, user_id, session_id)
    if session is None:
        raise SessionNotFound(session_id)
    ids = [event.client_event_id for event in events]
    existing = await store.list_by_client_ids(transaction, user_id, session_id, ids)
    missing = rules.missing_events(events, existing)
    if missing and session.phase == "COMPLETED":
        raise SessionCompleted(session_id)
    appended = await store.append(transaction, user_id, session_id, missing) if missing else []
    return [*existing, *appended]
