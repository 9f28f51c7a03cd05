"""people and classes."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "account_events",
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("rights_version", sa.BigInteger(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("kind IN ('RIGHTS_LOST')", name=op.f("account_events_kind_check")),
        sa.PrimaryKeyConstraint("sequence", name=op.f("account_events_pkey")),
    )
    op.create_index(op.f("account_events_created_at_idx"), "account_events", ["created_at"], unique=False)
    op.create_table(
        "class_memberships",
        sa.Column("class_id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="ACTIVE", nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by_user_id", sa.UUID(), nullable=True),
        sa.CheckConstraint("role IN ('STUDENT', 'TEACHER')", name=op.f("class_memberships_role_check")),
        sa.CheckConstraint(
            "status IN ('ACTIVE', 'LEFT', 'REMOVED')", name=op.f("class_memberships_status_check")
        ),
        sa.PrimaryKeyConstraint("class_id", "user_id", name=op.f("class_memberships_pkey")),
    )
    op.create_index(
        "class_memberships_order_idx",
        "class_memberships",
        ["class_id", "created_at", "user_id"],
        unique=False,
    )
    op.create_table(
        "classes",
        sa.Column("class_id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("join_code", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_by_user_id", sa.UUID(), nullable=True),
        sa.PrimaryKeyConstraint("class_id", name=op.f("classes_pkey")),
    )
    op.create_table(
        "credentials",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("credentials_pkey")),
    )
    op.create_table(
        "join_codes",
        sa.Column("join_code", sa.Text(), nullable=False),
        sa.Column("class_id", sa.UUID(), nullable=False),
        sa.PrimaryKeyConstraint("join_code", name=op.f("join_codes_pkey")),
    )
    op.create_table(
        "login_identifiers",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("canonical", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('LOGIN_NAME', 'EMAIL', 'PHONE')", name=op.f("login_identifiers_kind_check")
        ),
        sa.PrimaryKeyConstraint("user_id", "kind", name=op.f("login_identifiers_pkey")),
    )
    op.create_index("login_identifiers_canonical_key", "login_identifiers", ["canonical"], unique=True)
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
        "sign_in_failures",
        sa.Column("identifier_hash", sa.LargeBinary(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("identifier_hash", name=op.f("sign_in_failures_pkey")),
    )
    op.create_index(op.f("sign_in_failures_failed_at_idx"), "sign_in_failures", ["failed_at"], unique=False)
    op.create_table(
        "sign_ins",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("sign_in_id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("request_id", sa.UUID(), nullable=True),
        sa.Column("current_hash", sa.LargeBinary(), nullable=False),
        sa.Column("previous_hash", sa.LargeBinary(), nullable=True),
        sa.Column("rotated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "sign_in_id", name=op.f("sign_ins_pkey")),
    )
    op.create_index(op.f("sign_ins_expires_at_idx"), "sign_ins", ["expires_at"], unique=False)
    op.create_index(
        "sign_ins_user_id_request_id_key",
        "sign_ins",
        ["user_id", "request_id"],
        unique=True,
        postgresql_where=sa.text("request_id IS NOT NULL"),
    )
    op.create_table(
        "sign_up_requests",
        sa.Column("request_id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("request_id", name=op.f("sign_up_requests_pkey")),
    )
    op.create_index(op.f("sign_up_requests_created_at_idx"), "sign_up_requests", ["created_at"], unique=False)
    op.create_table(
        "signing_keys",
        sa.Column("kid", sa.Text(), nullable=False),
        sa.Column("private_key", sa.LargeBinary(), nullable=False),
        sa.Column("public_jwk", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("signs_from", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("kid", name=op.f("signing_keys_pkey")),
    )
    op.create_table(
        "user_classes",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("class_id", sa.UUID(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("user_id", "class_id", name=op.f("user_classes_pkey")),
    )
    op.create_index(
        "user_classes_order_idx", "user_classes", ["user_id", "created_at", "class_id"], unique=False
    )
    op.create_table(
        "users",
        sa.Column("user_id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("full_name", sa.Text(), server_default="", nullable=False),
        sa.Column("nickname", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("rights_version", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_by_user_id", sa.UUID(), nullable=True),
        sa.CheckConstraint(
            "role IN ('UNASSIGNED', 'STUDENT', 'TEACHER', 'ADMIN')", name=op.f("users_role_check")
        ),
        sa.CheckConstraint("char_length(nickname) BETWEEN 2 AND 50", name=op.f("users_nickname_check")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("users_pkey")),
    )


def downgrade() -> None:
    op.drop_table("users")
    op.drop_index("user_classes_order_idx", table_name="user_classes")
    op.drop_table("user_classes")
    op.drop_table("signing_keys")
    op.drop_index(op.f("sign_up_requests_created_at_idx"), table_name="sign_up_requests")
    op.drop_table("sign_up_requests")
    op.drop_index(
        "sign_ins_user_id_request_id_key",
        table_name="sign_ins",
        postgresql_where=sa.text("request_id IS NOT NULL"),
    )
    op.drop_index(op.f("sign_ins_expires_at_idx"), table_name="sign_ins")
    op.drop_table("sign_ins")
    op.drop_index(op.f("sign_in_failures_failed_at_idx"), table_name="sign_in_failures")
    op.drop_table("sign_in_failures")
    op.drop_index(op.f("request_memory_created_at_idx"), table_name="request_memory")
    op.drop_table("request_memory")
    op.drop_index("login_identifiers_canonical_key", table_name="login_identifiers")
    op.drop_table("login_identifiers")
    op.drop_table("join_codes")
    op.drop_table("credentials")
    op.drop_table("classes")
    op.drop_index("class_memberships_order_idx", table_name="class_memberships")
    op.drop_table("class_memberships")
    op.drop_index(op.f("account_events_created_at_idx"), table_name="account_events")
    op.drop_table("account_events")
