"""Use cases of events."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from chassis.database import Database, Transaction
from chassis.idempotency import write
from chassis.notifications import Notifier
from meno.session.v1.event_service_pb2 import AppendEventsResponse
from session_service.errors import SessionCompleted, SessionFull, SessionNotFound
from session_service.sessions import store as sessions
from session_service.sessions.events import messages, rules, store
from session_service.sessions.events.store import SequenceConflict
from session_service.sessions.events.types import EventRow, NewEvent

_Append: TypeAlias = Callable[[Transaction], Awaitable[list[EventRow]]]


async def append_events(
    database: Database,
    notifier: Notifier,
    user_id: str,
    session_id: str,
    events: Sequence[NewEvent],
    *,
    max_bytes: int,
) -> AppendEventsResponse:
    """Appends a batch of events to a session. Events that the session contains already are returned unchanged.

    Raises SessionNotFound, SessionCompleted, SessionFull if the events of the session would be larger than
    `max_bytes`, and EventIdReused if a client_event_id identifies two different events.
    """
    rules.check_distinct(events)
    batch = (user_id, session_id, events, max_bytes)
    try:
        # Usually all events are new: then one statement without a prior lock is enough.
        response = await _write(database, events, lambda transaction: store.append(transaction, *batch))
    except SequenceConflict:
        response = await _write(database, events, lambda transaction: _append_missing(transaction, *batch))
    notifier.notify(session_id)
    return response


async def _write(database: Database, events: Sequence[NewEvent], append: _Append) -> AppendEventsResponse:
    async with write(database) as transaction:
        rows = {row.client_event_id: row for row in await append(transaction)}
        appended = await messages.to_messages([rows[event.client_event_id] for event in events])
        return transaction.respond(AppendEventsResponse(events=appended))


async def _append_missing(
    transaction: Transaction, user_id: str, session_id: str, events: Sequence[NewEvent], max_bytes: int
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
    if missing and session.event_bytes + store.size(missing) > max_bytes:
        raise SessionFull(session_id, max_bytes)
    appended = await store.append(transaction, user_id, session_id, missing, max_bytes) if missing else []
    return [*existing, *appended]
