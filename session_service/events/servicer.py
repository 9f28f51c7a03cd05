"""EventService."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import TypeVar

from chassis import paging
from chassis.bell import Bell
from chassis.calls import Context
from chassis.database import Database, Transaction
from chassis.idempotency import write
from chassis.wire import Spelling, timestamp
from meno.session.v1.event_service_pb2 import (
    AppendEventsRequest,
    AppendEventsResponse,
    Event,
    EventKind,
    ListEventsRequest,
    ListEventsResponse,
    WatchEventsRequest,
    WatchEventsResponse,
)
from meno.session.v1.event_service_pb2_grpc import EventServiceServicer
from meno.session.v1.session_service_pb2 import PHASE_COMPLETED
from session_service.errors import (
    EventIdReused,
    PayloadTooLarge,
    SessionCompleted,
    SessionNotFound,
    field_invalid,
)
from session_service.events import rules, store
from session_service.events.store import EventRow, NewEvent
from session_service.sessions import store as sessions
from session_service.sessions.servicer import PHASES
from session_service.sessions.servicer import message as session_message
from session_service.sessions.store import SessionRow

KINDS = Spelling(EventKind)

BATCH = 100
"""Events that a stream reads at once; the next are read when these are sent."""

_LIGHT = 64 * 1024
_COMPLETED = PHASES.text(PHASE_COMPLETED)

Result = TypeVar("Result")


class EventServicer(EventServiceServicer):
    """What happened in sessions."""

    def __init__(self, database: Database, bell: Bell) -> None:
        self._database = database
        self._bell = bell

    async def AppendEvents(self, request: AppendEventsRequest, context: Context) -> AppendEventsResponse:
        given = await _beside(request.ByteSize(), lambda: _given(request.events))
        async with write(self._database) as transaction:
            session = await sessions.locked(transaction, request.user_id, request.session_id)
            if session is None:
                raise SessionNotFound(request.session_id)
            rows = await _append(transaction, session, given)
            events = await _messages([rows[client_event_id] for client_event_id in given])
            answer = transaction.answer(AppendEventsResponse(events=events))
        self._bell.ring(session.session_id)
        return answer

    async def ListEvents(self, request: ListEventsRequest, context: Context) -> ListEventsResponse:
        (sequence,) = paging.position(request, (0,))
        session = await self._session(request)
        rows = await store.after(self._database, session, sequence, paging.size(request))
        following = _following(request, rows, session.last_sequence)
        return ListEventsResponse(events=await _messages(rows), next_page_token=following)

    async def WatchEvents(
        self, request: WatchEventsRequest, context: Context
    ) -> AsyncIterator[WatchEventsResponse]:
        sequence = request.after_sequence
        with self._bell.listen(request.session_id.lower()) as rung:
            while True:
                session = await self._session(request)
                while sequence < session.last_sequence:
                    for row in await store.after(self._database, session, sequence, BATCH):
                        sequence = row.sequence
                        yield WatchEventsResponse(event=_message(row))
                if session.phase == _COMPLETED:
                    yield WatchEventsResponse(done=session_message(session))
                    return
                await rung.wait()

    async def _session(self, request: ListEventsRequest | WatchEventsRequest) -> SessionRow:
        session = await sessions.get(self._database, request.user_id, request.session_id)
        if session is None:
            raise SessionNotFound(request.session_id)
        return session


async def _append(
    transaction: Transaction, session: SessionRow, given: Mapping[str, NewEvent]
) -> dict[str, EventRow]:
    """The rows of the given events by client_event_id: first copies, and those that are added now."""
    rows = {row.client_event_id: row for row in await store.present(transaction, session, [*given])}
    for client_event_id, row in rows.items():
        if not _is_copy(given[client_event_id], row):
            raise EventIdReused(client_event_id)
    fresh = [event for client_event_id, event in given.items() if client_event_id not in rows]
    if fresh and session.phase == _COMPLETED:
        raise SessionCompleted(session.session_id)
    if fresh:
        added = await store.append(transaction, session, fresh)
        rows |= {row.client_event_id: row for row in added}
    return rows


def _given(events: Iterable[Event]) -> dict[str, NewEvent]:
    given: dict[str, NewEvent] = {}
    for place, event in enumerate(events):
        client_event_id = event.client_event_id.lower()
        if client_event_id in given:
            raise EventIdReused(client_event_id)
        payload = _payload(place, event) if event.HasField("payload") else None
        given[client_event_id] = NewEvent(client_event_id, KINDS.text(event.kind), event.step, payload)
    return given


def _payload(place: int, event: Event) -> str:
    try:
        return rules.text(event.payload)
    except rules.TooLarge as error:
        raise PayloadTooLarge(event.client_event_id) from error
    except rules.Unstorable as error:
        raise field_invalid(f"events[{place}].payload", str(error), "event.payload") from error


def _is_copy(given: NewEvent, row: EventRow) -> bool:
    payload = None if row.payload is None else rules.respell(row.payload)
    return given == NewEvent(row.client_event_id, row.kind, row.step, payload)


def _following(request: ListEventsRequest, rows: list[EventRow], last_sequence: int) -> str:
    """The token of the page after these rows, whether their number ended this one or their weight."""
    if not rows or rows[-1].sequence >= last_sequence:
        return ""
    request.page_size = len(rows)
    _, token = paging.page(request, [*rows, rows[-1]], lambda row: (row.sequence,))
    return token


async def _messages(rows: list[EventRow]) -> list[Event]:
    weight = sum(len(row.payload or "") for row in rows)
    return await _beside(weight, lambda: [_message(row) for row in rows])


def _message(row: EventRow) -> Event:
    """An event as it travels."""
    return Event(
        sequence=row.sequence,
        client_event_id=row.client_event_id,
        kind=KINDS.number(row.kind),
        step=row.step,
        payload=None if row.payload is None else rules.payload(row.payload),
        create_time=timestamp(row.created_at),
    )


async def _beside(weight: int, work: Callable[[], Result]) -> Result:
    """Works on much JSON beside the event loop, on little at once."""
    return await asyncio.to_thread(work) if weight > _LIGHT else work()
