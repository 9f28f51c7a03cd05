"""The tables of content_service.

The primary key of every table that belongs to a class begins with `scope_id`, the id of the class.
EmbeddingSet and KnowledgeSettings are small reference tables, the same on every shard. The outbox and the
feed cursor belong to the service itself. procrastinate defines the tables of the job queue.
"""

from datetime import datetime
from typing import Any

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import CheckConstraint, Double, ForeignKey, Index, Integer, SmallInteger, func, text
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


class Content(Base):
    """An authored item with a stable identity. Its revisions contain its title and body."""

    __tablename__ = "contents"

    scope_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    content_id: Mapped[str] = mapped_column(UUID, primary_key=True, server_default=text("uuidv7()"))
    parent_id: Mapped[str | None] = mapped_column(UUID)
    kind: Mapped[str]
    position: Mapped[int] = mapped_column(server_default="0")
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    created_by_user_id: Mapped[str | None] = mapped_column(UUID)
    """NULL after the user was erased."""
    deleted_at: Mapped[datetime | None]
    deleted_by_user_id: Mapped[str | None] = mapped_column(UUID)

    __table_args__ = (
        CheckConstraint("kind IN ('MODULE', 'LESSON', 'MATERIAL')", name="kind"),
        # Materials are not part of the tree and have no position among siblings.
        Index(
            "contents_siblings_key",
            "scope_id",
            "parent_id",
            "position",
            unique=True,
            postgresql_where=text("deleted_at IS NULL AND kind <> 'MATERIAL'"),
            postgresql_nulls_not_distinct=True,
        ),
        person_index("contents", "created_by_user_id"),
        person_index("contents", "deleted_by_user_id"),
    )


class Revision(Base):
    """A revision of a content: the draft, the published one, or an archived one."""

    __tablename__ = "content_revisions"

    scope_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    revision_id: Mapped[str] = mapped_column(UUID, primary_key=True, server_default=text("uuidv7()"))
    content_id: Mapped[str] = mapped_column(UUID)
    number: Mapped[int]
    state: Mapped[str]
    title: Mapped[str]
    body: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    created_by_user_id: Mapped[str | None] = mapped_column(UUID)
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    published_at: Mapped[datetime | None]
    """After this time the revision never changes. It is kept after it is archived, because citations refer to it."""

    __table_args__ = (
        CheckConstraint("state IN ('DRAFT', 'PUBLISHED', 'ARCHIVED')", name="state"),
        CheckConstraint("(state = 'DRAFT') = (published_at IS NULL)", name="published_at"),
        CheckConstraint("jsonb_typeof(body) = 'object'", name="body"),
        Index("content_revisions_number_key", "scope_id", "content_id", "number", unique=True),
        Index(
            "content_revisions_draft_key",
            "scope_id",
            "content_id",
            unique=True,
            postgresql_where=text("state = 'DRAFT'"),
        ),
        Index(
            "content_revisions_published_key",
            "scope_id",
            "content_id",
            unique=True,
            postgresql_where=text("state = 'PUBLISHED'"),
        ),
        person_index("content_revisions", "created_by_user_id"),
    )


class Attachment(Base):
    """A material that is attached to a revision."""

    __tablename__ = "content_materials"

    scope_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    revision_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    material_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    attached_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class Material(Base):
    """The file of a content of kind MATERIAL and the state of its processing. The file never changes."""

    __tablename__ = "materials"

    scope_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    material_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    storage_key: Mapped[str]
    content_type: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="PENDING")
    stage: Mapped[str] = mapped_column(server_default="QUEUED")
    progress: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    attempt: Mapped[int] = mapped_column(server_default="0")
    """A fencing token: only the worker that claimed this attempt may write."""
    failed_attempts: Mapped[int] = mapped_column(server_default="0")
    """Consecutive attempts without progress, including the running one."""
    failure_reason: Mapped[str | None]
    failure_message: Mapped[str] = mapped_column(server_default="")
    chunk_count: Mapped[int] = mapped_column(server_default="0")
    term_count: Mapped[int] = mapped_column(server_default="0")
    page_count: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        CheckConstraint("status IN ('PENDING', 'PROCESSING', 'READY', 'FAILED')", name="status"),
        CheckConstraint(
            "stage IN ('QUEUED', 'EXTRACTING', 'CHUNKING', 'EMBEDDING', 'FINALIZING', 'READY', 'FAILED')",
            name="stage",
        ),
        CheckConstraint("progress BETWEEN 0 AND 100", name="progress"),
        CheckConstraint("(status = 'FAILED') = (failure_reason IS NOT NULL)", name="failure_reason"),
        Index("materials_storage_key", "scope_id", "storage_key", unique=True),
    )


class Chunk(Base):
    """A chunk of the text of a material."""

    __tablename__ = "material_chunks"

    scope_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    material_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    ordinal: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    chunk_id: Mapped[str] = mapped_column(UUID, server_default=text("uuidv7()"))
    page: Mapped[int] = mapped_column(Integer)
    section: Mapped[str]
    char_start: Mapped[int] = mapped_column(Integer)
    char_end: Mapped[int] = mapped_column(Integer)
    text: Mapped[str]

    __table_args__ = (Index("material_chunks_chunk_id_key", "scope_id", "chunk_id", unique=True),)


class ChunkTerm(Base):
    """A posting of the inverted index: a stem and a chunk that contains it."""

    __tablename__ = "chunk_terms"

    scope_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    term: Mapped[str] = mapped_column(primary_key=True)
    material_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    ordinal: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    occurrences: Mapped[int] = mapped_column(SmallInteger)
    chunk_length: Mapped[int] = mapped_column(Integer)
    """Number of terms of the chunk. The copy lets the lexical search read only this table."""


class ChunkEmbedding(Base):
    """The vector of a window of a chunk by one model."""

    __tablename__ = "chunk_embeddings"

    scope_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    set_id: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    material_id: Mapped[str] = mapped_column(UUID, primary_key=True)
    ordinal: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    window: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    # Without a dimension, because the table contains the sets of several models.
    embedding: Mapped[Any] = mapped_column(HALFVEC)


class EmbeddingSet(Base):
    """An embedding model with stored vectors. Vectors of different models are not comparable."""

    __tablename__ = "embedding_sets"

    set_id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=True)
    model: Mapped[str]
    dimension: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index("embedding_sets_model_key", "model", "dimension", unique=True),)


class KnowledgeSettings(Base):
    """The settings of chunking and search: one row.

    The defaults gave the best results in tests/benchmarks/retrieval.py.
    """

    __tablename__ = "knowledge_settings"

    singleton: Mapped[bool] = mapped_column(primary_key=True, server_default=text("true"))
    active_set_id: Mapped[int | None] = mapped_column(SmallInteger, ForeignKey("embedding_sets.set_id"))
    chunk_tokens: Mapped[int] = mapped_column(SmallInteger, server_default="220")
    chunk_overlap_tokens: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    window_characters: Mapped[int] = mapped_column(SmallInteger, server_default="420")
    top_k: Mapped[int] = mapped_column(SmallInteger, server_default="8")
    candidates: Mapped[int] = mapped_column(SmallInteger, server_default="50")
    rrf_k: Mapped[int] = mapped_column(SmallInteger, server_default="10")
    lexical_weight: Mapped[float] = mapped_column(Double, server_default="1")
    semantic_weight: Mapped[float] = mapped_column(Double, server_default="1")
    hybrid_weight: Mapped[float] = mapped_column(Double, server_default="4")
    relevance_threshold: Mapped[float] = mapped_column(Double, server_default="0.5")
    relevance_margin: Mapped[float] = mapped_column(Double, server_default="0.2")

    __table_args__ = (
        CheckConstraint("singleton", name="singleton"),
        CheckConstraint("chunk_tokens BETWEEN 50 AND 1000", name="chunk_tokens"),
        CheckConstraint("chunk_overlap_tokens BETWEEN 0 AND chunk_tokens / 2", name="chunk_overlap_tokens"),
        CheckConstraint("top_k BETWEEN 1 AND 50", name="top_k"),
        CheckConstraint("candidates BETWEEN top_k AND 1000", name="candidates"),
    )


class IdempotencyKeys(IdempotencyKeysTable, Base):
    """The idempotency keys of requests of the last 24 hours, with their responses."""


class Outbox(OutboxTable, Base):
    """Messages that are not delivered to other services yet."""


class FeedCursor(FeedCursorTable, Base):
    """The position in the account feed up to which events are applied: one row."""
