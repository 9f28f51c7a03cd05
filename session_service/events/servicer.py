"""EventService."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeAlias, TypeVar

from chassis import paging, structs
from chassis.bell import Bell
from chassis.calls import Context
from chassis.database import Database, Transaction
from chassis.errors import FieldInvalid
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
)
from session_service.events import store
from session_service.events.store import EventRow, NewEvent, NotAppended
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
Append: TypeAlias = Callable[[Transaction, str, str, Sequence[NewEvent]], Coroutine[Any, Any, list[EventRow]]]
"""Adds events to the session of a person; returns the rows of all of them."""


class EventServicer(EventServiceServicer):
    """What happened in sessions."""

    def __init__(self, database: Database, bell: Bell) -> None:
        self._database = database
        self._bell = bell

    async def AppendEvents(self, request: AppendEventsRequest, context: Context) -> AppendEventsResponse:
        given = await _beside(request.ByteSize(), lambda: _given(request.events))
        try:
            answer = await self._append(request, given, store.append)
        except NotAppended:
            answer = await self._append(request, given, _append_missing)
        self._bell.ring(request.session_id)
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
        with self._bell.listen(request.session_id) as rung:
            while True:
                session = await self._session(request)
                while sequence < session.last_sequence and (rows := await self._after(session, sequence)):
                    for row in rows:
                        sequence = row.sequence
                        yield WatchEventsResponse(event=_message(row))
                if session.phase == _COMPLETED:
                    yield WatchEventsResponse(done=session_message(session))
                    return
                await rung.wait()

    async def _after(self, session: SessionRow, sequence: int) -> list[EventRow]:
        return await store.after(self._database, session, sequence, BATCH)

    async def _append(
        self, request: AppendEventsRequest, given: dict[str, NewEvent], append: Append
    ) -> AppendEventsResponse:
        async with write(self._database) as transaction:
            rows = await append(transaction, request.user_id, request.session_id, [*given.values()])
            by_id = {row.client_event_id: row for row in rows}
            events = await _messages([by_id[client_event_id] for client_event_id in given])
            return transaction.answer(AppendEventsResponse(events=events))

    async def _session(self, request: ListEventsRequest | WatchEventsRequest) -> SessionRow:
        session = await sessions.get(self._database, request.user_id, request.session_id)
        if session is None:
            raise SessionNotFound(request.session_id)
        return session


async def _append_missing(
    transaction: Transaction, user_id: str, session_id: str, given: Sequence[NewEvent]
) -> list[EventRow]:
    """The rows of the given events: first copies, and those that are added now."""
    session = await sessions.locked(transaction, user_id, session_id)
    if session is None:
        raise SessionNotFound(session_id)
    copies = await store.present(transaction, user_id, session_id, [event.client_event_id for event in given])
    by_id = {row.client_event_id: row for row in copies}
    for event in given:
        if event.client_event_id in by_id and not _is_copy(event, by_id[event.client_event_id]):
            raise EventIdReused(event.client_event_id)
    missing = [event for event in given if event.client_event_id not in by_id]
    if missing and session.phase == _COMPLETED:
        raise SessionCompleted(session_id)
    added = await store.append(transaction, user_id, session_id, missing) if missing else []
    return [*copies, *added]


def _given(events: Iterable[Event]) -> dict[str, NewEvent]:
    given: dict[str, NewEvent] = {}
    for place, event in enumerate(events):
        client_event_id = event.client_event_id
        if client_event_id in given:
            raise EventIdReused(client_event_id)
        payload = _payload(place, event) if event.HasField("payload") else None
        given[client_event_id] = NewEvent(client_event_id, KINDS.text(event.kind), event.step, payload)
    return given


def _payload(place: int, event: Event) -> str:
    try:
        return structs.text(event.payload)
    except structs.TooLarge as error:
        raise PayloadTooLarge(event.client_event_id) from error
    except structs.Unstorable as error:
        raise FieldInvalid.of(f"events[{place}].payload", str(error), "event.payload") from error


def _is_copy(given: NewEvent, row: EventRow) -> bool:
    payload = None if row.payload is None else structs.respell(row.payload)
    return given == NewEvent(row.client_event_id, row.kind, row.step, payload)


def _following(request: ListEventsRequest, rows: list[EventRow], last_sequence: int) -> str:
    """The token of the page after these rows, whether their number ended this one or their weight."""
    if not rows or rows[-1].sequence >= last_sequence:
        return ""
    return paging.token(request, (rows[-1].sequence,))


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
        payload=None if row.payload is None else structs.struct(row.payload),
        create_time=timestamp(row.created_at),
    )


async def _beside(weight: int, work: Callable[[], Result]) -> Result:
    """Works on much JSON beside the event loop, on little at once."""
    return await asyncio.to_thread(work) if weight > _LIGHT else work()
