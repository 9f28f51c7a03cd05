"""SQL of sessions."""

from uuid import UUID

from sqlalchemy import bindparam, func, null, select, update

from chassis import quotas
from chassis.database import Executor, Transaction, columns, statement
from chassis.quotas import insert_within_quota
from session_service.sessions.types import NewSession, SessionRow
from session_service.tables import sessions

_SESSION = columns(SessionRow, sessions)
_IS_THE_SESSION = (
    sessions.c.user_id == bindparam("user_id"),
    sessions.c.session_id == bindparam("session_id"),
    sessions.c.deleted_at == null(),
)

GET = statement(select(*_SESSION).where(*_IS_THE_SESSION), SessionRow)
GET_FOR_UPDATE = statement(select(*_SESSION).where(*_IS_THE_SESSION).with_for_update(), SessionRow)
LIST_BY_USER = statement(
    select(*_SESSION)
    .where(
        sessions.c.user_id == bindparam("user_id"),
        sessions.c.session_id < bindparam("before_id"),
        sessions.c.deleted_at == null(),
    )
    .order_by(sessions.c.session_id.desc())
    .limit(bindparam("limit")),
    SessionRow,
)
ADD = statement(
    insert_within_quota(sessions, NewSession._fields, key=sessions.c.session_id).returning(*_SESSION),
    SessionRow,
)
SET_PHASE = statement(
    update(sessions)
    .where(*_IS_THE_SESSION)
    .values(
        phase=bindparam("phase"),
        state_version=sessions.c.state_version + 1,
        updated_at=func.clock_timestamp(),
    )
    .returning(*_SESSION),
    SessionRow,
)


async def get(executor: Executor, user_id: str, session_id: str) -> SessionRow | None:
    """Returns a session, or None."""
    return await executor.one(GET, user_id=user_id, session_id=session_id)


async def get_for_update(transaction: Transaction, user_id: str, session_id: str) -> SessionRow | None:
    """Returns a session, or None. Locks its row until the transaction ends.

    Meanwhile no other transaction changes the session or appends events to it.
    """
    return await transaction.one(GET_FOR_UPDATE, user_id=user_id, session_id=session_id)


async def list_by_user(executor: Executor, user_id: str, before_id: UUID, limit: int) -> list[SessionRow]:
    """Returns the sessions of a user, newest first."""
    return await executor.all(LIST_BY_USER, user_id=user_id, before_id=before_id, limit=limit)


async def add(transaction: Transaction, session: NewSession, quota: int) -> SessionRow:
    """Adds a session and returns it. Raises QuotaExceeded if the user has created `quota` sessions in a day."""
    row = await transaction.one(ADD, **session._asdict(), quota=quota)
    if row is None:
        raise quotas.exceeded("sessions", quota)
    return row


async def set_phase(transaction: Transaction, session: SessionRow, phase: str) -> SessionRow:
    """Sets the phase of a locked session, increments its state version and returns it."""
    row = await transaction.one(
        SET_PHASE, user_id=session.user_id, session_id=session.session_id, phase=phase
    )
    assert row is not None
    return row
