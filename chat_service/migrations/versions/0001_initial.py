"""The initial schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "answer_steps",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("chat_id", sa.UUID(), nullable=False),
        sa.Column("message_id", sa.UUID(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("citation_number", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint(
            "(citation_number IS NOT NULL) = (kind = 'CITATION')", name=op.f("answer_steps_citation_check")
        ),
        sa.CheckConstraint("(error IS NOT NULL) = (kind = 'ERROR')", name=op.f("answer_steps_error_check")),
        sa.CheckConstraint(
            "(text IS NOT NULL) = (kind = 'TEXT_DELTA')", name=op.f("answer_steps_text_check")
        ),
        sa.CheckConstraint(
            "kind IN ('STARTED', 'CITATION', 'TEXT_DELTA', 'DONE', 'ERROR')",
            name=op.f("answer_steps_kind_check"),
        ),
        sa.PrimaryKeyConstraint(
            "user_id", "chat_id", "message_id", "sequence", name=op.f("answer_steps_pkey")
        ),
    )
    op.create_table(
        "chat_messages",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("chat_id", sa.UUID(), nullable=False),
        sa.Column("message_id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), server_default="", nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("grounded", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("fencing_token", sa.UUID(), nullable=True),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_by_user_id", sa.UUID(), nullable=True),
        sa.CheckConstraint(
            "role = 'ASSISTANT' OR status = 'COMPLETED'", name=op.f("chat_messages_question_check")
        ),
        sa.CheckConstraint("role IN ('USER', 'ASSISTANT')", name=op.f("chat_messages_role_check")),
        sa.CheckConstraint(
            "status <> 'STREAMING' OR num_nonnulls(fencing_token, lease_expires_at) = 2",
            name=op.f("chat_messages_lease_check"),
        ),
        sa.CheckConstraint(
            "status IN ('STREAMING', 'COMPLETED', 'STOPPED', 'FAILED')",
            name=op.f("chat_messages_status_check"),
        ),
        sa.PrimaryKeyConstraint("user_id", "chat_id", "message_id", name=op.f("chat_messages_pkey")),
    )
    op.create_index(
        "chat_messages_deleted_by_user_id_idx",
        "chat_messages",
        ["deleted_by_user_id"],
        unique=False,
        postgresql_where=sa.text("deleted_by_user_id IS NOT NULL"),
    )
    op.create_index(
        "chat_messages_lease_idx",
        "chat_messages",
        ["lease_expires_at"],
        unique=False,
        postgresql_where=sa.text("status = 'STREAMING'"),
    )
    op.create_index(
        "chat_messages_sequence_key", "chat_messages", ["user_id", "chat_id", "sequence"], unique=True
    )
    op.create_index(
        "chat_messages_streaming_key",
        "chat_messages",
        ["user_id", "chat_id"],
        unique=True,
        postgresql_where=sa.text("status = 'STREAMING'"),
    )
    op.create_table(
        "chats",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("chat_id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("class_id", sa.UUID(), nullable=True),
        sa.Column("content_id", sa.UUID(), nullable=True),
        sa.Column("title", sa.Text(), server_default="", nullable=False),
        sa.Column("last_sequence", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_by_user_id", sa.UUID(), nullable=True),
        sa.CheckConstraint(
            "(class_id IS NULL) = (source = 'GENERAL') AND (content_id IS NOT NULL) = (source = 'LESSON')",
            name=op.f("chats_scope_check"),
        ),
        sa.CheckConstraint("source IN ('LESSON', 'CLASS', 'GENERAL')", name=op.f("chats_source_check")),
        sa.PrimaryKeyConstraint("user_id", "chat_id", name=op.f("chats_pkey")),
    )
    op.create_index(
        "chats_deleted_by_user_id_idx",
        "chats",
        ["deleted_by_user_id"],
        unique=False,
        postgresql_where=sa.text("deleted_by_user_id IS NOT NULL"),
    )
    op.create_index("chats_order_idx", "chats", ["user_id", "updated_at", "chat_id"], unique=False)
    op.create_table(
        "feed_cursor",
        sa.Column("singleton", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("epoch", sa.UUID(), nullable=True),
        sa.Column("sequence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("singleton", name=op.f("feed_cursor_pkey")),
    )
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
        "message_citations",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("chat_id", sa.UUID(), nullable=False),
        sa.Column("message_id", sa.UUID(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("class_id", sa.UUID(), nullable=False),
        sa.Column("material_id", sa.UUID(), nullable=False),
        sa.Column("revision_id", sa.UUID(), nullable=False),
        sa.Column("chunk_id", sa.UUID(), nullable=False),
        sa.Column("material_title", sa.Text(), nullable=False),
        sa.Column("page", sa.BigInteger(), nullable=False),
        sa.Column("section", sa.Text(), nullable=False),
        sa.Column("char_start", sa.BigInteger(), nullable=False),
        sa.Column("char_end", sa.BigInteger(), nullable=False),
        sa.Column("excerpt", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "user_id", "chat_id", "message_id", "number", name=op.f("message_citations_pkey")
        ),
    )
    op.create_table(
        "outbox",
        sa.Column("position", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("message_id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("outbox_pkey")),
        sa.UniqueConstraint("message_id", name=op.f("outbox_message_id_key")),
    )
    op.execute("INSERT INTO feed_cursor DEFAULT VALUES")


def downgrade() -> None:
    op.drop_table("outbox")
    op.drop_table("message_citations")
    op.drop_index(op.f("idempotency_keys_created_at_idx"), table_name="idempotency_keys")
    op.drop_table("idempotency_keys")
    op.drop_table("feed_cursor")
    op.drop_index("chats_order_idx", table_name="chats")
    op.drop_index(
        "chats_deleted_by_user_id_idx",
        table_name="chats",
        postgresql_where=sa.text("deleted_by_user_id IS NOT NULL"),
    )
    op.drop_table("chats")
    op.drop_index(
        "chat_messages_streaming_key",
        table_name="chat_messages",
        postgresql_where=sa.text("status = 'STREAMING'"),
    )
    op.drop_index("chat_messages_sequence_key", table_name="chat_messages")
    op.drop_index(
        "chat_messages_lease_idx",
        table_name="chat_messages",
        postgresql_where=sa.text("status = 'STREAMING'"),
    )
    op.drop_index(
        "chat_messages_deleted_by_user_id_idx",
        table_name="chat_messages",
        postgresql_where=sa.text("deleted_by_user_id IS NOT NULL"),
    )
    op.drop_table("chat_messages")
    op.drop_table("answer_steps")
