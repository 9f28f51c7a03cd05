"""people whole: profile, settings, experience, streaks, identities, one-time codes, erasures."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

USERS_CHECKS = {"age": "age BETWEEN 3 AND 120", "grade": "grade BETWEEN 1 AND 12", "xp": "xp >= 0"}
USERS_COLUMNS = (
    "merged_into_user_id",
    "deactivated_by_user_id",
    "deactivated_at",
    "last_sign_in_at",
    "last_active_at",
    "streak_zone",
    "streak_day",
    "streak",
    "level",
    "xp",
    "guest",
    "onboarding_complete",
    "about_me",
    "school_name",
    "board",
    "grade",
    "age",
)
USERS_INDEXES = (
    "users_role_idx",
    "users_created_at_idx",
    "users_deleted_at_idx",
    "users_deleted_by_user_id_idx",
)
"""Those of columns that were there before."""
NEW = (
    "activity_days",
    "erasure_receipts",
    "erasures",
    "one_time_codes",
    "user_identities",
    "user_settings",
    "xp_entries",
)


def upgrade() -> None:
    op.add_column("users", sa.Column("age", sa.SmallInteger(), nullable=True))
    op.add_column("users", sa.Column("grade", sa.SmallInteger(), nullable=True))
    op.add_column("users", sa.Column("board", sa.Text(), server_default="", nullable=False))
    op.add_column("users", sa.Column("school_name", sa.Text(), server_default="", nullable=False))
    op.add_column("users", sa.Column("about_me", sa.Text(), server_default="", nullable=False))
    op.add_column(
        "users",
        sa.Column(
            "onboarding_complete",
            sa.Boolean(),
            sa.Computed("age IS NOT NULL AND grade IS NOT NULL AND board <> ''", persisted=True),
            nullable=False,
        ),
    )
    op.add_column("users", sa.Column("guest", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("users", sa.Column("xp", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column(
        "users", sa.Column("level", sa.BigInteger(), sa.Computed("xp / 1000", persisted=True), nullable=False)
    )
    op.add_column("users", sa.Column("streak", sa.Integer(), server_default="0", nullable=False))
    op.add_column("users", sa.Column("streak_day", sa.Date(), nullable=True))
    op.add_column("users", sa.Column("streak_zone", sa.Text(), nullable=True))
    op.add_column(
        "users",
        sa.Column(
            "last_active_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
    )
    op.add_column("users", sa.Column("last_sign_in_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("users", sa.Column("deactivated_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("users", sa.Column("deactivated_by_user_id", sa.UUID(), nullable=True))
    op.add_column("users", sa.Column("merged_into_user_id", sa.UUID(), nullable=True))
    op.create_index("users_created_at_idx", "users", ["created_at"])
    op.create_index(
        "users_deactivated_by_user_id_idx",
        "users",
        ["deactivated_by_user_id"],
        postgresql_where=sa.text("deactivated_by_user_id IS NOT NULL"),
    )
    op.create_index(
        "users_deleted_at_idx",
        "users",
        ["deleted_at"],
        postgresql_where=sa.text("deleted_at IS NOT NULL"),
    )
    op.create_index(
        "users_deleted_by_user_id_idx",
        "users",
        ["deleted_by_user_id"],
        postgresql_where=sa.text("deleted_by_user_id IS NOT NULL"),
    )
    op.create_index(
        "users_idle_guests_idx", "users", ["last_active_at"], unique=False, postgresql_where=sa.text("guest")
    )
    op.create_index(
        "users_inactive_idx",
        "users",
        ["last_active_at", "user_id"],
        postgresql_where=sa.text("NOT guest"),
    )
    op.create_index(
        "users_merged_into_user_id_idx",
        "users",
        ["merged_into_user_id"],
        postgresql_where=sa.text("merged_into_user_id IS NOT NULL"),
    )
    op.create_index("users_role_idx", "users", ["role", "user_id"])
    op.execute("UPDATE users SET last_active_at = created_at")
    for name, condition in USERS_CHECKS.items():
        op.create_check_constraint(op.f(f"users_{name}_check"), "users", condition)
    op.add_column("login_identifiers", sa.Column("proven_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("sign_up_requests_user_id_idx", "sign_up_requests", ["user_id"])
    op.create_table(
        "user_identities",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "issuer", "subject", name=op.f("user_identities_pkey")),
    )
    op.create_index("user_identities_subject_key", "user_identities", ["issuer", "subject"], unique=True)
    op.create_table(
        "one_time_codes",
        sa.Column("address_hash", sa.LargeBinary(), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("sent", sa.Integer(), server_default="1", nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("address_hash", name=op.f("one_time_codes_pkey")),
    )
    op.create_index(op.f("one_time_codes_expires_at_idx"), "one_time_codes", ["expires_at"])
    op.create_table(
        "user_settings",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("app_theme", sa.Text(), server_default="light", nullable=False),
        sa.Column(
            "prefers_assistive_learning", sa.Boolean(), server_default=sa.text("false"), nullable=False
        ),
        sa.Column(
            "notifications",
            postgresql.JSONB(),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column("time_zone", sa.Text(), server_default="UTC", nullable=False),
        sa.Column("keep_practice_history", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("app_theme IN ('light', 'dark')", name=op.f("user_settings_app_theme_check")),
        sa.CheckConstraint(
            "jsonb_typeof(notifications) = 'object'", name=op.f("user_settings_notifications_check")
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("user_settings_pkey")),
    )
    op.create_table(
        "xp_entries",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("xp_entry_id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("award_id", sa.UUID(), nullable=False),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("reference_id", sa.UUID(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "reason IN ('PRACTICE_SCORED', 'QUIZ_GRADED', 'SESSION_COMPLETED', 'CORRECTION')",
            name=op.f("xp_entries_reason_check"),
        ),
        sa.PrimaryKeyConstraint("user_id", "xp_entry_id", name=op.f("xp_entries_pkey")),
        sa.UniqueConstraint("user_id", "award_id", name=op.f("xp_entries_user_id_award_id_key")),
    )
    op.create_index(op.f("xp_entries_created_at_idx"), "xp_entries", ["created_at"])
    op.create_table(
        "activity_days",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("streak", sa.Integer(), nullable=False),
        sa.Column("first_active_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_active_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "day", name=op.f("activity_days_pkey")),
    )
    op.create_index("activity_days_day_idx", "activity_days", ["day", "user_id"])
    op.create_table(
        "erasures",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("erasures_pkey")),
    )
    op.create_table(
        "erasure_receipts",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "service", name=op.f("erasure_receipts_pkey")),
    )


def downgrade() -> None:
    for table in NEW:
        op.drop_table(table)
    op.drop_index("sign_up_requests_user_id_idx", "sign_up_requests")
    op.drop_column("login_identifiers", "proven_at")
    for name in USERS_COLUMNS:
        op.drop_column("users", name)
    for name in USERS_INDEXES:
        op.drop_index(name, "users", if_exists=True)
