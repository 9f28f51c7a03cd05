"""SQL of events."""

from collections.abc import Sequence

from sqlalchemy import (
    ARRAY,
    BigInteger,
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
from session_service.sessions.events.types import EventRow, NewEvent
from session_service.tables import session_events, sessions

MAX_PAGE_BYTES = 256 * 1024
"""A page ends after this many bytes of payload JSON. As protobuf messages, payloads are up to 5.5 times as
large (arrays of small numbers), and a gRPC message has at most 4 MiB."""

UNLIMITED = 2**62
"""The limit of a session's bytes for events that the service itself appends."""

# A row without payload and its entries in two indexes.
_EVENT_OVERHEAD_BYTES = 200

_EVENT = (
    session_events.c.sequence,
    session_events.c.client_event_id,
    session_events.c.kind,
    session_events.c.step,
    cast(session_events.c.payload, Text).label("payload"),
    session_events.c.created_at,
)
_IN_SESSION = (
    session_events.c.user_id == bindparam("user_id"),
    session_events.c.session_id == bindparam("session_id"),
)
_ids = bindparam("client_event_ids", type_=ARRAY(UUID))
_requested = func.unnest(_ids).table_valued("client_event_id", name="requested").render_derived()

# Join id by id. With a condition on the whole array, the planner would scan all events of the session.
LIST_BY_CLIENT_IDS = statement(
    select(*_EVENT)
    .select_from(_requested)
    .join(session_events, session_events.c.client_event_id == _requested.c.client_event_id)
    .where(*_IN_SESSION),
    EventRow,
)

_new = (
    func.unnest(
        _ids,
        bindparam("kinds", type_=ARRAY(Text)),
        bindparam("steps", type_=ARRAY(Integer)),
        bindparam("payloads", type_=ARRAY(Text)),
    )
    .table_valued("client_event_id", "kind", "step", "payload", with_ordinality="index", name="new")
    .render_derived()
)
_size = bindparam("size", type_=BigInteger)
_session = (
    update(sessions)
    .where(
        sessions.c.user_id == bindparam("user_id"),
        sessions.c.session_id == bindparam("session_id"),
        sessions.c.deleted_at == null(),
        sessions.c.phase != "COMPLETED",
        sessions.c.event_bytes + _size <= bindparam("max_bytes", type_=BigInteger),
    )
    .values(
        last_sequence=sessions.c.last_sequence + func.cardinality(_ids),
        event_bytes=sessions.c.event_bytes + _size,
        updated_at=func.clock_timestamp(),
    )
    .returning(
        sessions.c.user_id,
        sessions.c.session_id,
        (sessions.c.last_sequence - func.cardinality(_ids)).label("previous_sequence"),
    )
    .cte("session")
)
# The update locks the session's row, so concurrent appends get consecutive sequences. ON CONFLICT detects
# existing events during the insert, so the cost does not depend on the number of earlier events.
APPEND = statement(
    insert(session_events)
    .from_select(
        ["user_id", "session_id", "sequence", "client_event_id", "kind", "step", "payload"],
        select(
            _session.c.user_id,
            _session.c.session_id,
            _session.c.previous_sequence + _new.c.index,
            _new.c.client_event_id,
            _new.c.kind,
            _new.c.step,
            cast(_new.c.payload, JSONB),
        ).join_from(_session, _new, true()),
    )
    .on_conflict_do_nothing(index_elements=["user_id", "session_id", "client_event_id"])
    .returning(*_EVENT),
    EventRow,
)

_next_events = (
    select(
        *_EVENT,
        func.sum(func.octet_length(cast(session_events.c.payload, Text)))
        .over(order_by=session_events.c.sequence, rows=(None, -1))
        .label("bytes_before"),
    )
    .where(*_IN_SESSION, session_events.c.sequence > bindparam("after_sequence"))
    .order_by(session_events.c.sequence)
    .limit(bindparam("limit"))
    .subquery("next_events")
)
LIST_AFTER = statement(
    select(*(_next_events.c[name] for name in EventRow._fields))
    .where(func.coalesce(_next_events.c.bytes_before, 0) < MAX_PAGE_BYTES)
    .order_by(_next_events.c.sequence),
    EventRow,
)


class SequenceConflict(Exception):
    """The session accepts no events, or contains one of the events. The transaction must be rolled back."""


def size(events: Sequence[NewEvent]) -> int:
    """Returns the number of bytes that events count towards the limit of their session."""
    return sum(len((event.payload or "").encode()) + _EVENT_OVERHEAD_BYTES for event in events)


async def append(
    transaction: Transaction,
    user_id: str,
    session_id: str,
    events: Sequence[NewEvent],
    max_bytes: int = UNLIMITED,
) -> list[EventRow]:
    """Appends events to a session that is not completed.

    Raises SequenceConflict if the session does not exist or is completed, if it has one of the events, or if
    its events would be larger than `max_bytes`.
    """
    ids, kinds, steps, payloads = (list(column) for column in zip(*events, strict=True))
    rows = await transaction.all(
        APPEND,
        user_id=user_id,
        session_id=session_id,
        client_event_ids=ids,
        kinds=kinds,
        steps=steps,
        payloads=payloads,
        size=size(events),
        max_bytes=max_bytes,
    )
    if len(rows) < len(events):
        raise SequenceConflict
    return rows


async def list_by_client_ids(
    transaction: Transaction, user_id: str, session_id: str, ids: Sequence[str]
) -> list[EventRow]:
    """Returns the events of a session that have one of these client_event_ids."""
    return await transaction.all(
        LIST_BY_CLIENT_IDS, user_id=user_id, session_id=session_id, client_event_ids=ids
    )


async def list_after(
    executor: Executor, user_id: str, session_id: str, sequence: int, limit: int
) -> list[EventRow]:
    """Returns the events of a session after a sequence, in order.

    Returns at most `limit` events and about MAX_PAGE_BYTES, and at least one event if one exists.
    """
    return await executor.all(
        LIST_AFTER,
        user_id=user_id,
        session_id=session_id,
        after_sequence=sequence,
        limit=limit,
    )
