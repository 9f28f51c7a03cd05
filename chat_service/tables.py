"""The tables of chat_service.

The primary keys of user data begin with `user_id`, which makes ownership part of each key.
"""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, func
from sqlalchemy import text as sql
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


class Chat(Base):
    """A chat of a user with the tutor."""

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
        person_index("chats", "deleted_by_user_id"),
    )


class ChatMessage(Base):
    """A question or an answer.

    While an answer is STREAMING, its steps contain its text; `text` is joined from them when it ends.
    `fencing_token` identifies the writer. A writer whose `lease_expires_at` has passed counts as dead.
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
        # A chat has at most one STREAMING answer.
        Index(
            "chat_messages_streaming_key",
            "user_id",
            "chat_id",
            unique=True,
            postgresql_where=sql("status = 'STREAMING'"),
        ),
        Index("chat_messages_lease_idx", "lease_expires_at", postgresql_where=sql("status = 'STREAMING'")),
        person_index("chat_messages", "deleted_by_user_id"),
    )


class MessageCitation(Base):
    """The source that a number in an answer refers to: a verbatim range of a revision of a material."""

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
    """One step of an answer's stream, stored before any reader receives it.

    The rows of STARTED and DONE have no content: these steps contain the messages, which have their own table.
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
        CheckConstraint("kind IN ('STARTED', 'CITATION', 'TEXT_DELTA', 'DONE', 'ERROR')", name="kind"),
        CheckConstraint("(text IS NOT NULL) = (kind = 'TEXT_DELTA')", name="text"),
        CheckConstraint("(citation_number IS NOT NULL) = (kind = 'CITATION')", name="citation"),
        CheckConstraint("(error IS NOT NULL) = (kind = 'ERROR')", name="error"),
    )


class IdempotencyKeys(IdempotencyKeysTable, Base):
    """Responses to the writes of the last 24 hours."""


class Outbox(OutboxTable, Base):
    """Messages to deliver to other services."""


class FeedCursor(FeedCursorTable, Base):
    """The position of this service in the account feed: one row."""
