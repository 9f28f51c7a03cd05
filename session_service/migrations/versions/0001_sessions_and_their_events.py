"""sessions and their events."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "request_memory",
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("body_hash", sa.LargeBinary(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("principal", "method", "request_id", name=op.f("request_memory_pkey")),
    )
    op.create_index(op.f("request_memory_created_at_idx"), "request_memory", ["created_at"], unique=False)
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
            "kind IN ('PRESENT', 'CHECK', 'DIAGNOSE', 'REMEDIATE', 'ADVANCE', 'PHASE_CHANGED')",
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


def downgrade() -> None:
    op.drop_table("sessions")
    op.drop_table("session_events")
    op.drop_index(op.f("request_memory_created_at_idx"), table_name="request_memory")
    op.drop_table("request_memory")
