"""The tables of chat_service.

The primary keys of user data begin with `user_id`, which makes ownership part of each key.
"""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    LargeBinary,
    Named,
    Table,
    Text,
    TypedColumns,
    func,
)
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import UUID

from chassis.feed_consumer import FeedCursorColumns
from chassis.idempotency import IdempotencyKeysColumns
from chassis.outbox import OutboxColumns
from chassis.tables import TIMESTAMPTZ, metadata, person_index

METADATA = metadata()


class ChatColumns(TypedColumns):
    """A chat of a user with the tutor."""

    user_id: Named[str] = Column(UUID, primary_key=True)
    chat_id: Named[str] = Column(UUID, primary_key=True, server_default=sql("uuidv7()"))
    source: Named[str] = Column(Text)
    class_id: Named[str | None] = Column(UUID)
    content_id: Named[str | None] = Column(UUID)
    title: Named[str] = Column(Text, server_default="")
    last_sequence: Named[int] = Column(BigInteger, server_default="0")
    created_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now())
    updated_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now())
    deleted_at: Named[datetime | None] = Column(TIMESTAMPTZ)
    deleted_by_user_id: Named[str | None] = Column(UUID)


chats = Table(
    "chats",
    METADATA,
    ChatColumns,
    CheckConstraint("source IN ('LESSON', 'CLASS', 'GENERAL')", name="source"),
    CheckConstraint(
        "(class_id IS NULL) = (source = 'GENERAL') AND (content_id IS NOT NULL) = (source = 'LESSON')",
        name="scope",
    ),
    Index("chats_order_idx", "user_id", "updated_at", "chat_id"),
    person_index("chats", "deleted_by_user_id"),
)


class ChatMessageColumns(TypedColumns):
    """A question or an answer.

    While an answer is STREAMING, its steps contain its text; `text` is joined from them when it ends.
    `fencing_token` identifies the writer. A writer whose `lease_expires_at` has passed counts as dead.
    """

    user_id: Named[str] = Column(UUID, primary_key=True)
    chat_id: Named[str] = Column(UUID, primary_key=True)
    message_id: Named[str] = Column(UUID, primary_key=True, server_default=sql("uuidv7()"))
    sequence: Named[int] = Column(BigInteger)
    role: Named[str] = Column(Text)
    text: Named[str] = Column(Text, server_default="")
    status: Named[str] = Column(Text)
    grounded: Named[bool] = Column(server_default=sql("false"))
    fencing_token: Named[str | None] = Column(UUID)
    lease_expires_at: Named[datetime | None] = Column(TIMESTAMPTZ)
    created_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now())
    updated_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now())
    deleted_at: Named[datetime | None] = Column(TIMESTAMPTZ)
    deleted_by_user_id: Named[str | None] = Column(UUID)


chat_messages = Table(
    "chat_messages",
    METADATA,
    ChatMessageColumns,
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


class MessageCitationColumns(TypedColumns):
    """The source that a number in an answer refers to: a verbatim range of a revision of a material."""

    user_id: Named[str] = Column(UUID, primary_key=True)
    chat_id: Named[str] = Column(UUID, primary_key=True)
    message_id: Named[str] = Column(UUID, primary_key=True)
    number: Named[int] = Column(BigInteger, primary_key=True)
    class_id: Named[str] = Column(UUID)
    material_id: Named[str] = Column(UUID)
    revision_id: Named[str] = Column(UUID)
    chunk_id: Named[str] = Column(UUID)
    material_title: Named[str] = Column(Text)
    page: Named[int] = Column(BigInteger)
    section: Named[str] = Column(Text)
    char_start: Named[int] = Column(BigInteger)
    char_end: Named[int] = Column(BigInteger)
    excerpt: Named[str] = Column(Text)


message_citations = Table("message_citations", METADATA, MessageCitationColumns)


class AnswerStepColumns(TypedColumns):
    """One step of an answer's stream, stored before any reader receives it.

    The rows of STARTED and DONE have no content: these steps contain the messages, which have their own table.
    """

    user_id: Named[str] = Column(UUID, primary_key=True)
    chat_id: Named[str] = Column(UUID, primary_key=True)
    message_id: Named[str] = Column(UUID, primary_key=True)
    sequence: Named[int] = Column(BigInteger, primary_key=True)
    kind: Named[str] = Column(Text)
    text: Named[str | None] = Column(Text)
    citation_number: Named[int | None] = Column(BigInteger)
    error: Named[bytes | None] = Column(LargeBinary)


answer_steps = Table(
    "answer_steps",
    METADATA,
    AnswerStepColumns,
    CheckConstraint("kind IN ('STARTED', 'CITATION', 'TEXT_DELTA', 'DONE', 'ERROR')", name="kind"),
    CheckConstraint("(text IS NOT NULL) = (kind = 'TEXT_DELTA')", name="text"),
    CheckConstraint("(citation_number IS NOT NULL) = (kind = 'CITATION')", name="citation"),
    CheckConstraint("(error IS NOT NULL) = (kind = 'ERROR')", name="error"),
)

idempotency_keys = Table("idempotency_keys", METADATA, IdempotencyKeysColumns)
"""Responses to the writes of the last 24 hours."""

outbox = Table("outbox", METADATA, OutboxColumns)
"""Messages to deliver to other services."""

feed_cursor = Table("feed_cursor", METADATA, FeedCursorColumns)
"""The position of this service in the account feed: one row."""
