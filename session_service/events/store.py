"""SQL of events."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import (
    ARRAY,
    Integer,
    Text,
    bindparam,
    cast,
    func,
    null,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID, insert

from chassis.database import Executor, Transaction, statement
from session_service.sessions.store import SessionRow
from session_service.tables import Session, SessionEvent


class EventRow(NamedTuple):
    """An event."""

    sequence: int
    client_event_id: str
    kind: str
    step: int
    payload: str | None
    """JSON."""
    created_at: datetime


class NewEvent(NamedTuple):
    """An event that is to be added."""

    client_event_id: str
    kind: str
    step: int
    payload: str | None
    """JSON."""


PAGE_BYTES = 256 * 1024
"""Payloads of so much JSON end a page: as messages they are larger, and a reply has 4 MiB at most."""

_EVENT = (
    SessionEvent.sequence,
    SessionEvent.client_event_id,
    SessionEvent.kind,
    SessionEvent.step,
    cast(SessionEvent.payload, Text).label("payload"),
    SessionEvent.created_at,
)
_OF_SESSION = (
    SessionEvent.user_id == bindparam("user_id"),
    SessionEvent.session_id == bindparam("session_id"),
)
_ids = bindparam("client_event_ids", type_=ARRAY(UUID))
_asked = func.unnest(_ids).table_valued("client_event_id", name="asked").render_derived()

# Id by id: a condition on the whole array makes a walk through all of the session look cheap.
PRESENT = statement(
    select(*_EVENT)
    .select_from(_asked)
    .join(SessionEvent, SessionEvent.client_event_id == _asked.c.client_event_id)
    .where(*_OF_SESSION),
    EventRow,
)

_new = (
    func.unnest(
        _ids,
        bindparam("kinds", type_=ARRAY(Text)),
        bindparam("steps", type_=ARRAY(Integer)),
        bindparam("payloads", type_=ARRAY(Text)),
    )
    .table_valued("client_event_id", "kind", "step", "payload", with_ordinality="place", name="new")
    .render_derived()
)
_advanced = (
    update(Session)
    .where(
        Session.user_id == bindparam("user_id"),
        Session.session_id == bindparam("session_id"),
        Session.deleted_at == null(),
        Session.phase != "COMPLETED",
    )
    .values(last_sequence=Session.last_sequence + func.cardinality(_ids), updated_at=func.clock_timestamp())
    .returning(
        Session.user_id,
        Session.session_id,
        (Session.last_sequence - func.cardinality(_ids)).label("sequence_before"),
    )
    .cte("advanced")
)
# The session is locked by its update, so that sequences are given one after the other. What is
# there already is found by the insertion itself: no older event has a part in the cost.
APPEND = statement(
    insert(SessionEvent)
    .from_select(
        ["user_id", "session_id", "sequence", "client_event_id", "kind", "step", "payload"],
        select(
            _advanced.c.user_id,
            _advanced.c.session_id,
            _advanced.c.sequence_before + _new.c.place,
            _new.c.client_event_id,
            _new.c.kind,
            _new.c.step,
            cast(_new.c.payload, JSONB),
        ).join_from(_advanced, _new, true()),
    )
    .on_conflict_do_nothing(index_elements=["user_id", "session_id", "client_event_id"])
    .returning(*_EVENT),
    EventRow,
)

_following = (
    select(
        *_EVENT,
        func.sum(func.octet_length(cast(SessionEvent.payload, Text)))
        .over(order_by=SessionEvent.sequence, rows=(None, -1))
        .label("bytes_before"),
    )
    .where(*_OF_SESSION, SessionEvent.sequence > bindparam("after_sequence"))
    .order_by(SessionEvent.sequence)
    .limit(bindparam("limit"))
    .subquery("following")
)
AFTER = statement(
    select(*(_following.c[name] for name in EventRow._fields))
    .where(func.coalesce(_following.c.bytes_before, 0) < PAGE_BYTES)
    .order_by(_following.c.sequence),
    EventRow,
)


class NotAppended(Exception):
    """The session takes no events, or one of them is there already: the transaction must be given up."""


async def append(
    transaction: Transaction, user_id: str, session_id: str, events: Sequence[NewEvent]
) -> list[EventRow]:
    """Adds events to a session, after its last one. Raises NotAppended unless all of them are new."""
    ids, kinds, steps, payloads = (list(column) for column in zip(*events, strict=True))
    rows = await transaction.all(
        APPEND,
        user_id=user_id,
        session_id=session_id,
        client_event_ids=ids,
        kinds=kinds,
        steps=steps,
        payloads=payloads,
    )
    if len(rows) < len(events):
        raise NotAppended
    return rows


async def present(
    transaction: Transaction, user_id: str, session_id: str, ids: Sequence[str]
) -> list[EventRow]:
    """The events of a session that are there already under one of these client_event_ids."""
    return await transaction.all(PRESENT, user_id=user_id, session_id=session_id, client_event_ids=ids)


async def after(executor: Executor, session: SessionRow, sequence: int, limit: int) -> list[EventRow]:
    """A session's next events, at most `limit` and about PAGE_BYTES; never none where there is one."""
    return await executor.all(
        AFTER,
        user_id=session.user_id,
        session_id=session.session_id,
        after_sequence=sequence,
        limit=limit,
    )
