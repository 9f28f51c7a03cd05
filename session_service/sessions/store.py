"""SQL of sessions."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, func, insert, null, select, update

from chassis.database import Executor, Transaction, columns, statement
from session_service.tables import Session


class SessionRow(NamedTuple):
    """A session."""

    user_id: str
    session_id: str
    mode: str
    phase: str
    goal: dict[str, str] | None
    class_id: str | None
    content_id: str | None
    lesson_title: str
    state_version: int
    last_sequence: int
    created_at: datetime
    updated_at: datetime


class NewSession(NamedTuple):
    """A session that begins."""

    user_id: str
    mode: str
    goal: dict[str, str] | None
    class_id: str | None
    content_id: str | None
    lesson_title: str


_SESSION = columns(SessionRow, Session)
_THE_SESSION = (
    Session.user_id == bindparam("user_id"),
    Session.session_id == bindparam("session_id"),
    Session.deleted_at == null(),
)
_NEW: dict[str, Any] = {name: bindparam(name) for name in NewSession._fields}

GET = statement(select(*_SESSION).where(*_THE_SESSION), SessionRow)
LOCKED = statement(select(*_SESSION).where(*_THE_SESSION).with_for_update(), SessionRow)
OF_USER = statement(
    select(*_SESSION)
    .where(
        Session.user_id == bindparam("user_id"),
        Session.session_id < bindparam("before_id"),
        Session.deleted_at == null(),
    )
    .order_by(Session.session_id.desc())
    .limit(bindparam("limit")),
    SessionRow,
)
ADD = statement(insert(Session).values(_NEW).returning(*_SESSION), SessionRow)
MOVE = statement(
    update(Session)
    .where(*_THE_SESSION)
    .values(
        phase=bindparam("following"),
        state_version=Session.state_version + 1,
        updated_at=func.clock_timestamp(),
    )
    .returning(*_SESSION),
    SessionRow,
)


async def get(executor: Executor, user_id: str, session_id: str) -> SessionRow | None:
    """A session, or None."""
    return await executor.one(GET, user_id=user_id, session_id=session_id)


async def locked(transaction: Transaction, user_id: str, session_id: str) -> SessionRow | None:
    """A session, or None; nobody else changes it or adds to it until the transaction ends."""
    return await transaction.one(LOCKED, user_id=user_id, session_id=session_id)


async def of_user(executor: Executor, user_id: str, before_id: UUID, limit: int) -> list[SessionRow]:
    """A person's sessions, newest first."""
    return await executor.all(OF_USER, user_id=user_id, before_id=before_id, limit=limit)


async def add(transaction: Transaction, session: NewSession) -> SessionRow:
    """Begins a session."""
    row = await transaction.one(ADD, **session._asdict())
    assert row is not None
    return row


async def move(transaction: Transaction, session: SessionRow, following: str) -> SessionRow:
    """Puts a locked session into another phase."""
    row = await transaction.one(
        MOVE, user_id=session.user_id, session_id=session.session_id, following=following
    )
    assert row is not None
    return row
