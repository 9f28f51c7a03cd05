"""The tables of content_service.

The primary key of every table that belongs to a class begins with `scope_id`, the id of the class.
`embedding_sets` and `knowledge_settings` are small reference tables, the same on every shard. The outbox and the
feed cursor belong to the service itself. procrastinate defines the tables of the job queue.
"""

from datetime import datetime
from typing import Any

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    Named,
    SmallInteger,
    Table,
    Text,
    TypedColumns,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from chassis.feed_consumer import FeedCursorColumns
from chassis.idempotency import IdempotencyKeysColumns
from chassis.outbox import OutboxColumns
from chassis.tables import TIMESTAMPTZ, metadata, person_index

METADATA = metadata()


class ContentColumns(TypedColumns):
    """An authored item with a stable identity. Its revisions contain its title and body."""

    scope_id: Named[str] = Column(UUID, primary_key=True)
    content_id: Named[str] = Column(UUID, primary_key=True, server_default=text("uuidv7()"))
    parent_id: Named[str | None] = Column(UUID)
    kind: Named[str] = Column(Text)
    position: Named[int] = Column(BigInteger, server_default="0")
    version: Named[int] = Column(BigInteger, server_default="1")
    created_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now())
    created_by_user_id: Named[str | None] = Column(UUID)
    """NULL after the user was erased."""
    deleted_at: Named[datetime | None] = Column(TIMESTAMPTZ)
    deleted_by_user_id: Named[str | None] = Column(UUID)


contents = Table(
    "contents",
    METADATA,
    ContentColumns,
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


class ContentRevisionColumns(TypedColumns):
    """A revision of a content: the draft, the published one, or an archived one."""

    scope_id: Named[str] = Column(UUID, primary_key=True)
    revision_id: Named[str] = Column(UUID, primary_key=True, server_default=text("uuidv7()"))
    content_id: Named[str] = Column(UUID)
    number: Named[int] = Column(BigInteger)
    state: Named[str] = Column(Text)
    title: Named[str] = Column(Text)
    body: Named[dict[str, Any]] = Column(JSONB)
    created_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now())
    created_by_user_id: Named[str | None] = Column(UUID)
    updated_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now())
    published_at: Named[datetime | None] = Column(TIMESTAMPTZ)
    """After this time the revision never changes. It is kept after it is archived, because citations refer to it."""


content_revisions = Table(
    "content_revisions",
    METADATA,
    ContentRevisionColumns,
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


class ContentMaterialColumns(TypedColumns):
    """A material that is attached to a revision."""

    scope_id: Named[str] = Column(UUID, primary_key=True)
    revision_id: Named[str] = Column(UUID, primary_key=True)
    material_id: Named[str] = Column(UUID, primary_key=True)
    attached_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.clock_timestamp())


content_materials = Table("content_materials", METADATA, ContentMaterialColumns)


class MaterialColumns(TypedColumns):
    """The file of a content of kind MATERIAL and the state of its processing. The file never changes."""

    scope_id: Named[str] = Column(UUID, primary_key=True)
    material_id: Named[str] = Column(UUID, primary_key=True)
    storage_key: Named[str] = Column(Text)
    content_type: Named[str] = Column(Text)
    charset: Named[str] = Column(Text, server_default="")
    """The charset that the upload declared; empty if it declared none."""
    size_bytes: Named[int] = Column(BigInteger)
    status: Named[str] = Column(Text, server_default="PENDING")
    stage: Named[str] = Column(Text, server_default="QUEUED")
    progress: Named[int] = Column(SmallInteger, server_default="0")
    attempt: Named[int] = Column(BigInteger, server_default="0")
    """A fencing token: only the worker that claimed this attempt may write."""
    failed_attempts: Named[int] = Column(BigInteger, server_default="0")
    """Consecutive attempts without progress, including the running one."""
    failure_reason: Named[str | None] = Column(Text)
    failure_message: Named[str] = Column(Text, server_default="")
    chunk_count: Named[int] = Column(BigInteger, server_default="0")
    term_count: Named[int] = Column(BigInteger, server_default="0")
    page_count: Named[int] = Column(BigInteger, server_default="0")
    created_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now())
    updated_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now())


materials = Table(
    "materials",
    METADATA,
    MaterialColumns,
    CheckConstraint("status IN ('PENDING', 'PROCESSING', 'READY', 'FAILED')", name="status"),
    CheckConstraint(
        "stage IN ('QUEUED', 'EXTRACTING', 'CHUNKING', 'EMBEDDING', 'FINALIZING', 'READY', 'FAILED')",
        name="stage",
    ),
    CheckConstraint("progress BETWEEN 0 AND 100", name="progress"),
    CheckConstraint("(status = 'FAILED') = (failure_reason IS NOT NULL)", name="failure_reason"),
    Index("materials_storage_key", "scope_id", "storage_key", unique=True),
)


class MaterialChunkColumns(TypedColumns):
    """A chunk of the text of a material."""

    scope_id: Named[str] = Column(UUID, primary_key=True)
    material_id: Named[str] = Column(UUID, primary_key=True)
    ordinal: Named[int] = Column(Integer, primary_key=True, autoincrement=False)
    chunk_id: Named[str] = Column(UUID, server_default=text("uuidv7()"))
    page: Named[int] = Column(Integer)
    section: Named[str] = Column(Text)
    char_start: Named[int] = Column(Integer)
    char_end: Named[int] = Column(Integer)
    places: Named[list[list[Any]]] = Column(JSONB, server_default=text("'[]'"))
    """The later pages and sections: each its offset in characters, its page and its section."""
    text: Named[str] = Column(Text)


material_chunks = Table(
    "material_chunks",
    METADATA,
    MaterialChunkColumns,
    Index("material_chunks_chunk_id_key", "scope_id", "chunk_id", unique=True),
)


class ChunkTermColumns(TypedColumns):
    """A posting of the inverted index: a stem and a chunk that contains it."""

    scope_id: Named[str] = Column(UUID, primary_key=True)
    term: Named[str] = Column(Text, primary_key=True)
    material_id: Named[str] = Column(UUID, primary_key=True)
    ordinal: Named[int] = Column(Integer, primary_key=True, autoincrement=False)
    occurrences: Named[int] = Column(SmallInteger)
    chunk_length: Named[int] = Column(Integer)
    """Number of terms of the chunk. The copy lets the lexical search read only this table."""


chunk_terms = Table("chunk_terms", METADATA, ChunkTermColumns)


class ChunkEmbeddingColumns(TypedColumns):
    """The vector of a window of a chunk by one model."""

    scope_id: Named[str] = Column(UUID, primary_key=True)
    set_id: Named[int] = Column(SmallInteger, primary_key=True)
    material_id: Named[str] = Column(UUID, primary_key=True)
    ordinal: Named[int] = Column(Integer, primary_key=True, autoincrement=False)
    window: Named[int] = Column(SmallInteger, primary_key=True, autoincrement=False)
    # Without a dimension, because the table contains the sets of several models.
    embedding: Named[Any] = Column(HALFVEC)


chunk_embeddings = Table("chunk_embeddings", METADATA, ChunkEmbeddingColumns)


class EmbeddingSetColumns(TypedColumns):
    """An embedding model with stored vectors. Vectors of different models are not comparable."""

    set_id: Named[int] = Column(SmallInteger, primary_key=True, autoincrement=True)
    model: Named[str] = Column(Text)
    dimension: Named[int] = Column(BigInteger)
    created_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now())


embedding_sets = Table(
    "embedding_sets",
    METADATA,
    EmbeddingSetColumns,
    Index("embedding_sets_model_key", "model", "dimension", unique=True),
)


class KnowledgeSettingsColumns(TypedColumns):
    """The settings of chunking and search: one row.

    The defaults gave the best results in tests/benchmarks/retrieval.py.
    """

    singleton: Named[bool] = Column(primary_key=True, server_default=text("true"))
    active_set_id: Named[int | None] = Column(SmallInteger, ForeignKey("embedding_sets.set_id"))
    chunk_tokens: Named[int] = Column(SmallInteger, server_default="220")
    chunk_overlap_tokens: Named[int] = Column(SmallInteger, server_default="0")
    window_characters: Named[int] = Column(SmallInteger, server_default="420")
    top_k: Named[int] = Column(SmallInteger, server_default="8")
    candidates: Named[int] = Column(SmallInteger, server_default="50")
    rrf_k: Named[int] = Column(SmallInteger, server_default="10")
    lexical_weight: Named[float] = Column(Double, server_default="1")
    semantic_weight: Named[float] = Column(Double, server_default="1")
    hybrid_weight: Named[float] = Column(Double, server_default="4")
    relevance_threshold: Named[float] = Column(Double, server_default="0.5")
    relevance_margin: Named[float] = Column(Double, server_default="0.2")


knowledge_settings = Table(
    "knowledge_settings",
    METADATA,
    KnowledgeSettingsColumns,
    CheckConstraint("singleton", name="singleton"),
    CheckConstraint("chunk_tokens BETWEEN 50 AND 1000", name="chunk_tokens"),
    CheckConstraint("chunk_overlap_tokens BETWEEN 0 AND chunk_tokens / 2", name="chunk_overlap_tokens"),
    CheckConstraint("top_k BETWEEN 1 AND 50", name="top_k"),
    CheckConstraint("candidates BETWEEN top_k AND 1000", name="candidates"),
)

idempotency_keys = Table("idempotency_keys", METADATA, IdempotencyKeysColumns)
"""The idempotency keys of requests of the last 24 hours, with their responses."""

outbox = Table("outbox", METADATA, OutboxColumns)
"""Messages that are not delivered to other services yet."""

feed_cursor = Table("feed_cursor", METADATA, FeedCursorColumns)
"""The position in the account feed up to which events are applied: one row."""
