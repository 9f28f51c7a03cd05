"""The tables of session_service.

The primary keys of user data begin with `user_id`, which makes ownership part of each key.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Integer, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from chassis.feed_consumer import FeedCursor as FeedCursorTable
from chassis.idempotency import IdempotencyKeys as IdempotencyKeysTable
from chassis.outbox import Outbox as OutboxTable
from chassis.tables import TYPES, metadata, person_index


class Base(DeclarativeBase):
    """Base class of the tables of this service."""

    metadata = metadata()
    type_annotation_map = TYPES


class Session(Base):
    """A study session. Lists use the primary key, because the ids (UUIDv7) ascend by time."""

    __tablename__ = "sessions"

    user_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    session_id: Mapped[str] = mapped_column(UUID, primary_key=True, server_default=text("uuidv7()"))
    mode: Mapped[str]
    phase: Mapped[str] = mapped_column(server_default="INTAKE")
    goal: Mapped[dict[str, Any] | None]
    class_id: Mapped[str | None] = mapped_column(UUID)
    content_id: Mapped[str | None] = mapped_column(UUID)
    lesson_title: Mapped[str] = mapped_column(server_default="")
    state_version: Mapped[int] = mapped_column(server_default="1")
    last_sequence: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    deleted_at: Mapped[datetime | None]
    deleted_by_user_id: Mapped[str | None] = mapped_column(UUID)

    __table_args__ = (
        CheckConstraint("mode IN ('teach_me', 'clarify_doubts', 'exam', 'practice')", name="mode"),
        CheckConstraint(
            "phase IN ('INTAKE', 'PLANNING', 'LEARNING', 'QUIZZING', 'ANALYZING', 'COMPLETED')", name="phase"
        ),
        CheckConstraint("jsonb_typeof(goal) = 'object'", name="goal"),
        CheckConstraint("(class_id IS NULL) = (content_id IS NULL)", name="lesson"),
        CheckConstraint("last_sequence >= 0", name="last_sequence"),
        person_index("sessions", "deleted_by_user_id"),
    )


class SessionEvent(Base):
    """An event of a session. Events are append-only and numbered without gaps."""

    __tablename__ = "session_events"

    user_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    session_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    client_event_id: Mapped[str] = mapped_column(UUID)
    kind: Mapped[str]
    step: Mapped[int] = mapped_column(Integer)
    payload: Mapped[dict[str, Any] | None]
    # clock_timestamp(), because now() is the start of the transaction, which may have waited for a lock since.
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())

    __table_args__ = (
        UniqueConstraint("user_id", "session_id", "client_event_id"),
        CheckConstraint(
            "kind IN ('PRESENT', 'CHECK', 'DIAGNOSE', 'REMEDIATE', 'ADVANCE', 'PHASE_CHANGED')", name="kind"
        ),
        CheckConstraint("sequence > 0", name="sequence"),
        CheckConstraint("jsonb_typeof(payload) = 'object'", name="payload"),
    )


class IdempotencyKeys(IdempotencyKeysTable, Base):
    """Responses to the writes of the last 24 hours."""


class Outbox(OutboxTable, Base):
    """Messages to deliver to other services."""


class FeedCursor(FeedCursorTable, Base):
    """The position of this service in the account feed: one row."""
