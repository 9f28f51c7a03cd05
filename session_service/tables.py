"""The tables of session_service.

The primary keys of user data begin with `user_id`, which makes ownership part of each key.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Integer,
    Named,
    Table,
    Text,
    TypedColumns,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from chassis.feed_consumer import FeedCursorColumns
from chassis.idempotency import IdempotencyKeysColumns
from chassis.outbox import OutboxColumns
from chassis.tables import TIMESTAMPTZ, metadata, person_index

METADATA = metadata()


class SessionColumns(TypedColumns):
    """A study session. Lists use the primary key, because the ids (UUIDv7) ascend by time."""

    user_id: Named[str] = Column(UUID, primary_key=True)
    session_id: Named[str] = Column(UUID, primary_key=True, server_default=text("uuidv7()"))
    mode: Named[str] = Column(Text)
    phase: Named[str] = Column(Text, server_default="INTAKE")
    goal: Named[dict[str, Any] | None] = Column(JSONB)
    class_id: Named[str | None] = Column(UUID)
    content_id: Named[str | None] = Column(UUID)
    lesson_title: Named[str] = Column(Text, server_default="")
    state_version: Named[int] = Column(BigInteger, server_default="1")
    last_sequence: Named[int] = Column(BigInteger, server_default="0")
    event_bytes: Named[int] = Column(BigInteger, server_default="0")
    created_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now())
    updated_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now())
    deleted_at: Named[datetime | None] = Column(TIMESTAMPTZ)
    deleted_by_user_id: Named[str | None] = Column(UUID)


sessions = Table(
    "sessions",
    METADATA,
    SessionColumns,
    CheckConstraint("mode IN ('teach_me', 'clarify_doubts', 'exam', 'practice')", name="mode"),
    CheckConstraint(
        "phase IN ('INTAKE', 'PLANNING', 'LEARNING', 'QUIZZING', 'ANALYZING', 'COMPLETED')", name="phase"
    ),
    CheckConstraint("jsonb_typeof(goal) = 'object'", name="goal"),
    CheckConstraint("(class_id IS NULL) = (content_id IS NULL)", name="lesson"),
    CheckConstraint("last_sequence >= 0", name="last_sequence"),
    person_index("sessions", "deleted_by_user_id"),
)


class SessionEventColumns(TypedColumns):
    """An event of a session. Events are append-only and numbered without gaps."""

    user_id: Named[str] = Column(UUID, primary_key=True)
    session_id: Named[str] = Column(UUID, primary_key=True)
    sequence: Named[int] = Column(BigInteger, primary_key=True, autoincrement=False)
    client_event_id: Named[str] = Column(UUID)
    kind: Named[str] = Column(Text)
    step: Named[int] = Column(Integer)
    payload: Named[dict[str, Any] | None] = Column(JSONB)
    # clock_timestamp(), because now() is the start of the transaction, which may have waited for a lock since.
    created_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.clock_timestamp())


session_events = Table(
    "session_events",
    METADATA,
    SessionEventColumns,
    UniqueConstraint("user_id", "session_id", "client_event_id"),
    CheckConstraint(
        "kind IN ('Present', 'Check', 'Diagnose', 'Remediate', 'Advance', 'PhaseChanged')", name="kind"
    ),
    CheckConstraint("sequence > 0", name="sequence"),
    CheckConstraint("jsonb_typeof(payload) = 'object'", name="payload"),
)

idempotency_keys = Table("idempotency_keys", METADATA, IdempotencyKeysColumns)
"""Responses to the writes of the last 24 hours."""

outbox = Table("outbox", METADATA, OutboxColumns)
"""Messages to deliver to other services."""

feed_cursor = Table("feed_cursor", METADATA, FeedCursorColumns)
"""The position of this service in the account feed: one row."""
