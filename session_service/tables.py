"""Every table that session_service owns.

All but the outbox and the cursor of the feed belong to a person: their keys begin with `user_id`.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Integer, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from chassis.effects import FeedCursor as FeedCursorTable
from chassis.idempotency import RequestMemory as RequestMemoryTable
from chassis.outbox import Outbox as OutboxTable
from chassis.tables import TYPES, metadata, names_person


class Base(DeclarativeBase):
    """The tables of this service."""

    metadata = metadata()
    type_annotation_map = TYPES


class Session(Base):
    """A study session. A list of them rides on the key, for the ids ascend in time."""

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
        names_person("sessions", "deleted_by_user_id"),
    )


class SessionEvent(Base):
    """Something that happened in a session: added, never changed, numbered without gaps."""

    __tablename__ = "session_events"

    user_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    session_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    client_event_id: Mapped[str] = mapped_column(UUID)
    kind: Mapped[str]
    step: Mapped[int] = mapped_column(Integer)
    payload: Mapped[dict[str, Any] | None]
    # Later than the moment at which the transaction began to wait for its session.
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())

    __table_args__ = (
        UniqueConstraint("user_id", "session_id", "client_event_id"),
        CheckConstraint(
            "kind IN ('PRESENT', 'CHECK', 'DIAGNOSE', 'REMEDIATE', 'ADVANCE', 'PHASE_CHANGED')", name="kind"
        ),
        CheckConstraint("sequence > 0", name="sequence"),
        CheckConstraint("jsonb_typeof(payload) = 'object'", name="payload"),
    )


class RequestMemory(RequestMemoryTable, Base):
    """Requests that were answered within 24 hours."""


class Outbox(OutboxTable, Base):
    """Facts on their way to other services."""


class FeedCursor(FeedCursorTable, Base):
    """How far the account feed was applied: one row."""
