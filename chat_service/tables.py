"""Every table that chat_service owns.

The key of each begins with the person whose chat it is, but for the outbox and the cursor of the feed.
"""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, func
from sqlalchemy import text as sql
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


class Chat(Base):
    """A conversation."""

    __tablename__ = "chats"

    user_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    chat_id: Mapped[str] = mapped_column(UUID, primary_key=True, server_default=sql("uuidv7()"))
    source: Mapped[str]
    class_id: Mapped[str | None] = mapped_column(UUID)
    content_id: Mapped[str | None] = mapped_column(UUID)
    title: Mapped[str] = mapped_column(server_default="")
    last_sequence: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    deleted_at: Mapped[datetime | None]
    deleted_by_user_id: Mapped[str | None] = mapped_column(UUID)

    __table_args__ = (
        CheckConstraint("source IN ('LESSON', 'CLASS', 'GENERAL')", name="source"),
        CheckConstraint(
            "(class_id IS NULL) = (source = 'GENERAL') AND (content_id IS NOT NULL) = (source = 'LESSON')",
            name="scope",
        ),
        Index("chats_order_idx", "user_id", "updated_at", "chat_id"),
        names_person("chats", "deleted_by_user_id"),
    )


class ChatMessage(Base):
    """A question or an answer.

    While an answer is STREAMING its steps hold its text; `text` is put together from them
    when it ends. `fencing_token` is its writer's, who lives while `lease_expires_at` lies ahead.
    """

    __tablename__ = "chat_messages"

    user_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    chat_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    message_id: Mapped[str] = mapped_column(UUID, primary_key=True, server_default=sql("uuidv7()"))
    sequence: Mapped[int]
    role: Mapped[str]
    text: Mapped[str] = mapped_column(server_default="")
    status: Mapped[str]
    grounded: Mapped[bool] = mapped_column(server_default=sql("false"))
    fencing_token: Mapped[str | None] = mapped_column(UUID)
    lease_expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    deleted_at: Mapped[datetime | None]
    deleted_by_user_id: Mapped[str | None] = mapped_column(UUID)

    __table_args__ = (
        CheckConstraint("role IN ('USER', 'ASSISTANT')", name="role"),
        CheckConstraint("status IN ('STREAMING', 'COMPLETED', 'STOPPED', 'FAILED')", name="status"),
        CheckConstraint("role = 'ASSISTANT' OR status = 'COMPLETED'", name="question"),
        CheckConstraint(
            "status <> 'STREAMING' OR num_nonnulls(fencing_token, lease_expires_at) = 2", name="lease"
        ),
        Index("chat_messages_sequence_key", "user_id", "chat_id", "sequence", unique=True),
        # At most one answer of a chat is being written.
        Index(
            "chat_messages_streaming_key",
            "user_id",
            "chat_id",
            unique=True,
            postgresql_where=sql("status = 'STREAMING'"),
        ),
        Index("chat_messages_lease_idx", "lease_expires_at", postgresql_where=sql("status = 'STREAMING'")),
        names_person("chat_messages", "deleted_by_user_id"),
    )


class MessageCitation(Base):
    """What a number in an answer refers to: a stretch of a revision of a material, word for word."""

    __tablename__ = "message_citations"

    user_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    chat_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    message_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    class_id: Mapped[str] = mapped_column(UUID)
    material_id: Mapped[str] = mapped_column(UUID)
    revision_id: Mapped[str] = mapped_column(UUID)
    chunk_id: Mapped[str] = mapped_column(UUID)
    material_title: Mapped[str]
    page: Mapped[int]
    section: Mapped[str]
    char_start: Mapped[int]
    char_end: Mapped[int]
    excerpt: Mapped[str]


class AnswerStep(Base):
    """One step of an answer's stream, stored before anybody sees it.

    BEGUN and DONE say only where they stand: what they carry are the messages themselves.
    """

    __tablename__ = "answer_steps"

    user_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    chat_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    message_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    text: Mapped[str | None]
    citation_number: Mapped[int | None]
    error: Mapped[bytes | None]

    __table_args__ = (
        CheckConstraint("kind IN ('BEGUN', 'CITATION', 'TEXT_DELTA', 'DONE', 'ERROR')", name="kind"),
        CheckConstraint("(text IS NOT NULL) = (kind = 'TEXT_DELTA')", name="text"),
        CheckConstraint("(citation_number IS NOT NULL) = (kind = 'CITATION')", name="citation"),
        CheckConstraint("(error IS NOT NULL) = (kind = 'ERROR')", name="error"),
    )


class RequestMemory(RequestMemoryTable, Base):
    """Requests that were answered within 24 hours."""


class Outbox(OutboxTable, Base):
    """Facts on their way to other services."""


class FeedCursor(FeedCursorTable, Base):
    """How far the account feed was applied: one row."""
