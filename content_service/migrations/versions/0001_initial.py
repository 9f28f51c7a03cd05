"""The initial schema."""

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import HALFVEC
from procrastinate.schema import SchemaManager
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_USER_COLUMNS = (
    ("contents", "created_by_user_id"),
    ("contents", "deleted_by_user_id"),
    ("content_revisions", "created_by_user_id"),
)

_DROP_QUEUE = """
DO $$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT oid::regclass FROM pg_class WHERE starts_with(relname, 'procrastinate_') AND relkind = 'r' LOOP
        EXECUTE 'DROP TABLE ' || name || ' CASCADE';
    END LOOP;
    FOR name IN SELECT oid::regprocedure FROM pg_proc WHERE starts_with(proname, 'procrastinate_') LOOP
        EXECUTE 'DROP FUNCTION ' || name;
    END LOOP;
    FOR name IN SELECT oid::regtype FROM pg_type
        WHERE starts_with(typname, 'procrastinate_') AND typtype IN ('c', 'e') LOOP
        EXECUTE 'DROP TYPE ' || name || ' CASCADE';
    END LOOP;
END
$$
"""


def upgrade() -> None:
    op.create_table(
        "chunk_embeddings",
        sa.Column("scope_id", sa.UUID(), nullable=False),
        sa.Column("set_id", sa.SmallInteger(), nullable=False),
        sa.Column("material_id", sa.UUID(), nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("window", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("embedding", HALFVEC(), nullable=False),
        sa.PrimaryKeyConstraint(
            "scope_id", "set_id", "material_id", "ordinal", "window", name=op.f("chunk_embeddings_pkey")
        ),
    )
    op.create_table(
        "chunk_terms",
        sa.Column("scope_id", sa.UUID(), nullable=False),
        sa.Column("term", sa.Text(), nullable=False),
        sa.Column("material_id", sa.UUID(), nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("occurrences", sa.SmallInteger(), nullable=False),
        sa.Column("chunk_length", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("scope_id", "term", "material_id", "ordinal", name=op.f("chunk_terms_pkey")),
    )
    op.create_table(
        "content_materials",
        sa.Column("scope_id", sa.UUID(), nullable=False),
        sa.Column("revision_id", sa.UUID(), nullable=False),
        sa.Column("material_id", sa.UUID(), nullable=False),
        sa.Column(
            "attached_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint(
            "scope_id", "revision_id", "material_id", name=op.f("content_materials_pkey")
        ),
    )
    op.create_table(
        "content_revisions",
        sa.Column("scope_id", sa.UUID(), nullable=False),
        sa.Column("revision_id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("content_id", sa.UUID(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_by_user_id", sa.UUID(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("jsonb_typeof(body) = 'object'", name=op.f("content_revisions_body_check")),
        sa.CheckConstraint(
            "(state = 'DRAFT') = (published_at IS NULL)", name=op.f("content_revisions_published_at_check")
        ),
        sa.CheckConstraint(
            "state IN ('DRAFT', 'PUBLISHED', 'ARCHIVED')", name=op.f("content_revisions_state_check")
        ),
        sa.PrimaryKeyConstraint("scope_id", "revision_id", name=op.f("content_revisions_pkey")),
    )
    op.create_index(
        "content_revisions_draft_key",
        "content_revisions",
        ["scope_id", "content_id"],
        unique=True,
        postgresql_where=sa.text("state = 'DRAFT'"),
    )
    op.create_index(
        "content_revisions_number_key", "content_revisions", ["scope_id", "content_id", "number"], unique=True
    )
    op.create_index(
        "content_revisions_published_key",
        "content_revisions",
        ["scope_id", "content_id"],
        unique=True,
        postgresql_where=sa.text("state = 'PUBLISHED'"),
    )
    op.create_table(
        "contents",
        sa.Column("scope_id", sa.UUID(), nullable=False),
        sa.Column("content_id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("parent_id", sa.UUID(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_by_user_id", sa.UUID(), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_by_user_id", sa.UUID(), nullable=True),
        sa.CheckConstraint("kind IN ('MODULE', 'LESSON', 'MATERIAL')", name=op.f("contents_kind_check")),
        sa.PrimaryKeyConstraint("scope_id", "content_id", name=op.f("contents_pkey")),
    )
    op.create_index(
        "contents_siblings_key",
        "contents",
        ["scope_id", "parent_id", "position"],
        unique=True,
        postgresql_where=sa.text("deleted_at IS NULL AND kind <> 'MATERIAL'"),
        postgresql_nulls_not_distinct=True,
    )
    op.create_table(
        "embedding_sets",
        sa.Column("set_id", sa.SmallInteger(), autoincrement=True, nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("dimension", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("set_id", name=op.f("embedding_sets_pkey")),
    )
    op.create_index("embedding_sets_model_key", "embedding_sets", ["model", "dimension"], unique=True)
    op.create_table(
        "material_chunks",
        sa.Column("scope_id", sa.UUID(), nullable=False),
        sa.Column("material_id", sa.UUID(), nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("chunk_id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("page", sa.Integer(), nullable=False),
        sa.Column("section", sa.Text(), nullable=False),
        sa.Column("char_start", sa.Integer(), nullable=False),
        sa.Column("char_end", sa.Integer(), nullable=False),
        sa.Column(
            "places", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False
        ),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("scope_id", "material_id", "ordinal", name=op.f("material_chunks_pkey")),
    )
    op.create_index("material_chunks_chunk_id_key", "material_chunks", ["scope_id", "chunk_id"], unique=True)
    op.create_table(
        "materials",
        sa.Column("scope_id", sa.UUID(), nullable=False),
        sa.Column("material_id", sa.UUID(), nullable=False),
        sa.Column("storage_key", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("charset", sa.Text(), server_default="", nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), server_default="PENDING", nullable=False),
        sa.Column("stage", sa.Text(), server_default="QUEUED", nullable=False),
        sa.Column("progress", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("attempt", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("failed_attempts", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("failure_reason", sa.Text(), nullable=True),
        sa.Column("failure_message", sa.Text(), server_default="", nullable=False),
        sa.Column("chunk_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("term_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("page_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "(status = 'FAILED') = (failure_reason IS NOT NULL)", name=op.f("materials_failure_reason_check")
        ),
        sa.CheckConstraint(
            "stage IN ('QUEUED', 'EXTRACTING', 'CHUNKING', 'EMBEDDING', 'FINALIZING', 'READY', 'FAILED')",
            name=op.f("materials_stage_check"),
        ),
        sa.CheckConstraint(
            "status IN ('PENDING', 'PROCESSING', 'READY', 'FAILED')", name=op.f("materials_status_check")
        ),
        sa.CheckConstraint("progress BETWEEN 0 AND 100", name=op.f("materials_progress_check")),
        sa.PrimaryKeyConstraint("scope_id", "material_id", name=op.f("materials_pkey")),
    )
    op.create_index("materials_storage_key", "materials", ["scope_id", "storage_key"], unique=True)
    op.create_table(
        "idempotency_keys",
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("body_hash", sa.LargeBinary(), nullable=False),
        sa.Column("response", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("principal", "method", "request_id", name=op.f("idempotency_keys_pkey")),
    )
    op.create_index(op.f("idempotency_keys_created_at_idx"), "idempotency_keys", ["created_at"], unique=False)
    op.create_table(
        "knowledge_settings",
        sa.Column("singleton", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("active_set_id", sa.SmallInteger(), nullable=True),
        sa.Column("chunk_tokens", sa.SmallInteger(), server_default="220", nullable=False),
        sa.Column("chunk_overlap_tokens", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("window_characters", sa.SmallInteger(), server_default="420", nullable=False),
        sa.Column("top_k", sa.SmallInteger(), server_default="8", nullable=False),
        sa.Column("candidates", sa.SmallInteger(), server_default="50", nullable=False),
        sa.Column("rrf_k", sa.SmallInteger(), server_default="10", nullable=False),
        sa.Column("lexical_weight", sa.Double(), server_default="1", nullable=False),
        sa.Column("semantic_weight", sa.Double(), server_default="1", nullable=False),
        sa.Column("hybrid_weight", sa.Double(), server_default="4", nullable=False),
        sa.Column("relevance_threshold", sa.Double(), server_default="0.5", nullable=False),
        sa.Column("relevance_margin", sa.Double(), server_default="0.2", nullable=False),
        sa.CheckConstraint(
            "candidates BETWEEN top_k AND 1000", name=op.f("knowledge_settings_candidates_check")
        ),
        sa.CheckConstraint(
            "chunk_overlap_tokens BETWEEN 0 AND chunk_tokens / 2",
            name=op.f("knowledge_settings_chunk_overlap_tokens_check"),
        ),
        sa.CheckConstraint(
            "chunk_tokens BETWEEN 50 AND 1000", name=op.f("knowledge_settings_chunk_tokens_check")
        ),
        sa.CheckConstraint("singleton", name=op.f("knowledge_settings_singleton_check")),
        sa.CheckConstraint("top_k BETWEEN 1 AND 50", name=op.f("knowledge_settings_top_k_check")),
        sa.ForeignKeyConstraint(
            ["active_set_id"], ["embedding_sets.set_id"], name=op.f("knowledge_settings_active_set_id_fkey")
        ),
        sa.PrimaryKeyConstraint("singleton", name=op.f("knowledge_settings_pkey")),
    )
    op.create_table(
        "outbox",
        sa.Column("position", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("message_id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("outbox_pkey")),
        sa.UniqueConstraint("message_id", name=op.f("outbox_message_id_key")),
    )
    op.create_table(
        "feed_cursor",
        sa.Column("singleton", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("epoch", sa.UUID(), nullable=True),
        sa.Column("sequence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("singleton", name=op.f("feed_cursor_pkey")),
    )
    for table, column in _USER_COLUMNS:
        op.create_index(
            f"{table}_{column}_idx", table, [column], postgresql_where=sa.text(f"{column} IS NOT NULL")
        )
    op.execute("INSERT INTO knowledge_settings DEFAULT VALUES")
    op.execute("INSERT INTO feed_cursor DEFAULT VALUES")
    # The schema of the job queue, as the installed version of procrastinate defines it.
    connection = op.get_bind().execution_options(no_parameters=True)
    connection.exec_driver_sql(SchemaManager.get_schema())


def downgrade() -> None:
    op.get_bind().exec_driver_sql(_DROP_QUEUE)
    for table in (
        "feed_cursor",
        "outbox",
        "knowledge_settings",
        "idempotency_keys",
        "materials",
        "material_chunks",
        "embedding_sets",
        "contents",
        "content_revisions",
        "content_materials",
        "chunk_terms",
        "chunk_embeddings",
    ):
        op.drop_table(table)
