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
        "outbox",
        sa.Column("position", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("message_id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("outbox_pkey")),
        sa.UniqueConstraint("message_id", name=op.f("outbox_message_id_key")),
    )
    op.create_table(
        "session_events",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("session_id", sa.UUID(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("client_event_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("jsonb_typeof(payload) = 'object'", name=op.f("session_events_payload_check")),
        sa.CheckConstraint(
            "kind IN ('Present', 'Check', 'Diagnose', 'Remediate', 'Advance', 'PhaseChanged')",
            name=op.f("session_events_kind_check"),
        ),
        sa.CheckConstraint("sequence > 0", name=op.f("session_events_sequence_check")),
        sa.PrimaryKeyConstraint("user_id", "session_id", "sequence", name=op.f("session_events_pkey")),
        sa.UniqueConstraint(
            "user_id",
            "session_id",
            "client_event_id",
            name=op.f("session_events_user_id_session_id_client_event_id_key"),
        ),
    )
    op.create_table(
        "sessions",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("session_id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("phase", sa.Text(), server_default="INTAKE", nullable=False),
        sa.Column("goal", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("class_id", sa.UUID(), nullable=True),
        sa.Column("content_id", sa.UUID(), nullable=True),
        sa.Column("lesson_title", sa.Text(), server_default="", nullable=False),
        sa.Column("state_version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("last_sequence", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("event_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_by_user_id", sa.UUID(), nullable=True),
        sa.CheckConstraint("jsonb_typeof(goal) = 'object'", name=op.f("sessions_goal_check")),
        sa.CheckConstraint(
            "mode IN ('teach_me', 'clarify_doubts', 'exam', 'practice')", name=op.f("sessions_mode_check")
        ),
        sa.CheckConstraint(
            "phase IN ('INTAKE', 'PLANNING', 'LEARNING', 'QUIZZING', 'ANALYZING', 'COMPLETED')",
            name=op.f("sessions_phase_check"),
        ),
        sa.CheckConstraint("(class_id IS NULL) = (content_id IS NULL)", name=op.f("sessions_lesson_check")),
        sa.CheckConstraint("last_sequence >= 0", name=op.f("sessions_last_sequence_check")),
        sa.PrimaryKeyConstraint("user_id", "session_id", name=op.f("sessions_pkey")),
    )
    op.create_index(
        "sessions_deleted_by_user_id_idx",
        "sessions",
        ["deleted_by_user_id"],
        unique=False,
        postgresql_where=sa.text("deleted_by_user_id IS NOT NULL"),
    )
    op.execute("INSERT INTO feed_cursor DEFAULT VALUES")


def downgrade() -> None:
    op.drop_index(
        "sessions_deleted_by_user_id_idx",
        table_name="sessions",
        postgresql_where=sa.text("deleted_by_user_id IS NOT NULL"),
    )
    op.drop_table("sessions")
    op.drop_table("session_events")
    op.drop_table("outbox")
    op.drop_index(op.f("idempotency_keys_created_at_idx"), table_name="idempotency_keys")
    op.drop_table("idempotency_keys")
    op.drop_table("feed_cursor")
