"""Every table of identity_service."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

APPEND_ONLY = (
    """
CREATE FUNCTION reject_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'audit entries cannot be changed or deleted'; END $$
""",
    """
CREATE TRIGGER audit_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries
FOR EACH STATEMENT EXECUTE FUNCTION reject_change()
""",
    # The default privileges have already granted these rights to the serving role.
    """
DO $$ DECLARE role name; BEGIN
    FOR role IN SELECT DISTINCT grantee FROM information_schema.role_table_grants
        WHERE table_name = 'audit_entries' AND grantee <> current_user
    LOOP EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON audit_entries FROM %I', role); END LOOP;
END $$
""",
)
# A new installation works without an API key: the built-in models quote the material and plan by rules.
BUILTIN_MODELS = """
WITH backend AS (
    INSERT INTO model_backends (name, provider) VALUES ('Meno', 'builtin') RETURNING backend_id
), model AS (
    INSERT INTO models (backend_id, model_name, temperature)
    SELECT backend_id, model_name, 0 FROM backend, unnest(ARRAY['extractive', 'deterministic']) model_name
    RETURNING model_id, model_name
)
INSERT INTO component_models (component, model_id)
SELECT component, model_id FROM model, unnest(ARRAY[
    'tutor', 'book_ingestion', 'study_plan_generator', 'study_plan_reviewer', 'quiz_generator',
    'misconception_detector', 'eval_evaluator', 'eval_simulator'
]) component
WHERE model_name = CASE component WHEN 'tutor' THEN 'extractive' ELSE 'deterministic' END
"""
TABLES = (
    "account_events",
    "activity_days",
    "app_config",
    "audit_entries",
    "class_memberships",
    "classes",
    "credentials",
    "erasure_receipts",
    "erasures",
    "feed_epochs",
    "idempotency_keys",
    "join_codes",
    "login_identifiers",
    "one_time_codes",
    "outbox",
    "roster_classes",
    "roster_users",
    "sign_in_failures",
    "sign_ins",
    "sign_up_requests",
    "signing_keys",
    "user_classes",
    "user_identities",
    "user_settings",
    "users",
    "xp_entries",
    "model_backends",
    "models",
    "component_models",
)
"""All tables. A table follows those that it references."""


def upgrade() -> None:
    _create_people()
    _create_sign_in()
    _create_classes()
    _create_administration()
    _create_records()
    for statement in APPEND_ONLY:
        op.execute(statement)
    op.execute(BUILTIN_MODELS)
    op.execute("INSERT INTO feed_epochs DEFAULT VALUES")


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
    op.execute("DROP FUNCTION reject_change")


def _create_people() -> None:
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
        "erasure_receipts",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "service", name=op.f("erasure_receipts_pkey")),
    )
    op.create_table(
        "erasures",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("erasures_pkey")),
    )
    op.create_table(
        "user_settings",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("app_theme", sa.Text(), server_default="light", nullable=False),
        sa.Column(
            "prefers_assistive_learning", sa.Boolean(), server_default=sa.text("false"), nullable=False
        ),
        sa.Column("notifications", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
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
        "users",
        sa.Column("user_id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("full_name", sa.Text(), server_default="", nullable=False),
        sa.Column("nickname", sa.Text(), nullable=False),
        sa.Column("age", sa.SmallInteger()),
        sa.Column("grade", sa.SmallInteger()),
        sa.Column("board", sa.Text(), server_default="", nullable=False),
        sa.Column("school_name", sa.Text(), server_default="", nullable=False),
        sa.Column("about_me", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "onboarding_complete",
            sa.Boolean(),
            sa.Computed("age IS NOT NULL AND grade IS NOT NULL AND board <> ''", persisted=True),
            nullable=False,
        ),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("guest", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("rights_version", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("xp", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("level", sa.BigInteger(), sa.Computed("xp / 1000", persisted=True), nullable=False),
        sa.Column("streak", sa.Integer(), server_default="0", nullable=False),
        sa.Column("streak_day", sa.Date()),
        sa.Column("streak_time_zone", sa.Text()),
        sa.Column(
            "last_active_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("last_sign_in_at", sa.DateTime(timezone=True)),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deactivated_at", sa.DateTime(timezone=True)),
        sa.Column("deactivated_by_user_id", sa.UUID()),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
        sa.Column("deleted_by_user_id", sa.UUID()),
        sa.Column("merged_into_user_id", sa.UUID()),
        sa.CheckConstraint(
            "role IN ('UNASSIGNED', 'STUDENT', 'TEACHER', 'ADMIN')", name=op.f("users_role_check")
        ),
        sa.CheckConstraint("age BETWEEN 3 AND 120", name=op.f("users_age_check")),
        sa.CheckConstraint("char_length(nickname) BETWEEN 2 AND 50", name=op.f("users_nickname_check")),
        sa.CheckConstraint("grade BETWEEN 1 AND 12", name=op.f("users_grade_check")),
        sa.CheckConstraint("xp >= 0", name=op.f("users_xp_check")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("users_pkey")),
    )
    op.create_index("users_created_at_idx", "users", ["created_at"])
    op.create_index(
        "users_deactivated_by_user_id_idx",
        "users",
        ["deactivated_by_user_id"],
        postgresql_where=sa.text("deactivated_by_user_id IS NOT NULL"),
    )
    op.create_index(
        "users_deleted_at_idx", "users", ["deleted_at"], postgresql_where=sa.text("deleted_at IS NOT NULL")
    )
    op.create_index(
        "users_deleted_by_user_id_idx",
        "users",
        ["deleted_by_user_id"],
        postgresql_where=sa.text("deleted_by_user_id IS NOT NULL"),
    )
    op.create_index("users_idle_guests_idx", "users", ["last_active_at"], postgresql_where=sa.text("guest"))
    op.create_index(
        "users_inactive_idx", "users", ["last_active_at", "user_id"], postgresql_where=sa.text("NOT guest")
    )
    op.create_index(
        "users_merged_into_user_id_idx",
        "users",
        ["merged_into_user_id"],
        postgresql_where=sa.text("merged_into_user_id IS NOT NULL"),
    )
    op.create_index("users_role_idx", "users", ["role", "user_id"])
    op.create_table(
        "xp_entries",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("xp_entry_id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("award_id", sa.UUID(), nullable=False),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("reference_id", sa.UUID()),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "reason IN ('PRACTICE_SCORED', 'QUIZ_GRADED', 'SESSION_COMPLETED', 'CORRECTION')",
            name=op.f("xp_entries_reason_check"),
        ),
        sa.PrimaryKeyConstraint("user_id", "xp_entry_id", name=op.f("xp_entries_pkey")),
        sa.UniqueConstraint("user_id", "award_id", name=op.f("xp_entries_user_id_award_id_key")),
    )
    op.create_index(op.f("xp_entries_created_at_idx"), "xp_entries", ["created_at"])


def _create_sign_in() -> None:
    op.create_table(
        "credentials",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("change_hash", sa.Text()),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("credentials_pkey")),
    )
    op.create_table(
        "login_identifiers",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("canonical", sa.Text(), nullable=False),
        sa.Column("verified_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint(
            "kind IN ('LOGIN_NAME', 'EMAIL', 'PHONE')", name=op.f("login_identifiers_kind_check")
        ),
        sa.PrimaryKeyConstraint("user_id", "kind", name=op.f("login_identifiers_pkey")),
    )
    op.create_index("login_identifiers_canonical_key", "login_identifiers", ["canonical"], unique=True)
    op.create_table(
        "one_time_codes",
        sa.Column("address_hash", sa.LargeBinary(), nullable=False),
        sa.Column("code_hash", sa.LargeBinary()),
        sa.Column("sent", sa.Integer(), server_default="1", nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("address_hash", name=op.f("one_time_codes_pkey")),
    )
    op.create_index(op.f("one_time_codes_expires_at_idx"), "one_time_codes", ["expires_at"])
    op.create_table(
        "sign_in_failures",
        sa.Column("identifier_hash", sa.LargeBinary(), nullable=False),
        sa.Column("network_hash", sa.LargeBinary(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("identifier_hash", "network_hash", name=op.f("sign_in_failures_pkey")),
    )
    op.create_index(op.f("sign_in_failures_failed_at_idx"), "sign_in_failures", ["failed_at"])
    op.create_table(
        "sign_ins",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("sign_in_id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("request_id", sa.UUID()),
        sa.Column("current_hash", sa.LargeBinary(), nullable=False),
        sa.Column("previous_hash", sa.LargeBinary()),
        sa.Column("rotated_at", sa.DateTime(timezone=True)),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "sign_in_id", name=op.f("sign_ins_pkey")),
    )
    op.create_index(op.f("sign_ins_expires_at_idx"), "sign_ins", ["expires_at"])
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
    op.create_index(op.f("sign_up_requests_created_at_idx"), "sign_up_requests", ["created_at"])
    op.create_index(op.f("sign_up_requests_user_id_idx"), "sign_up_requests", ["user_id"])
    op.create_table(
        "signing_keys",
        sa.Column("kid", sa.Text(), nullable=False),
        sa.Column("private_key", sa.LargeBinary(), nullable=False),
        sa.Column("public_jwk", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("signs_from", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("kid", name=op.f("signing_keys_pkey")),
    )
    op.create_table(
        "user_identities",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "issuer", "subject", name=op.f("user_identities_pkey")),
    )
    op.create_index("user_identities_subject_key", "user_identities", ["issuer", "subject"], unique=True)


def _create_classes() -> None:
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
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("ended_by_user_id", sa.UUID()),
        sa.Column("roster_sourced_id", sa.Text()),
        sa.CheckConstraint("role IN ('STUDENT', 'TEACHER')", name=op.f("class_memberships_role_check")),
        sa.CheckConstraint(
            "status IN ('ACTIVE', 'PENDING', 'REJECTED', 'LEFT', 'REMOVED')",
            name=op.f("class_memberships_status_check"),
        ),
        sa.PrimaryKeyConstraint("class_id", "user_id", name=op.f("class_memberships_pkey")),
    )
    op.create_index(
        "class_memberships_ended_by_user_id_idx",
        "class_memberships",
        ["ended_by_user_id"],
        postgresql_where=sa.text("ended_by_user_id IS NOT NULL"),
    )
    op.create_index(
        "class_memberships_order_idx", "class_memberships", ["class_id", "status", "created_at", "user_id"]
    )
    op.create_index("class_memberships_user_id_idx", "class_memberships", ["user_id"])
    op.create_table(
        "classes",
        sa.Column("class_id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("join_code", sa.Text(), nullable=False),
        sa.Column("join_policy", sa.Text(), server_default="OPEN", nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True)),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
        sa.Column("deleted_by_user_id", sa.UUID()),
        sa.CheckConstraint(
            "join_policy IN ('OPEN', 'APPROVAL', 'CLOSED')", name=op.f("classes_join_policy_check")
        ),
        sa.PrimaryKeyConstraint("class_id", name=op.f("classes_pkey")),
    )
    op.create_index(
        "classes_deleted_at_idx",
        "classes",
        ["deleted_at"],
        postgresql_where=sa.text("deleted_at IS NOT NULL"),
    )
    op.create_index(
        "classes_deleted_by_user_id_idx",
        "classes",
        ["deleted_by_user_id"],
        postgresql_where=sa.text("deleted_by_user_id IS NOT NULL"),
    )
    op.create_table(
        "join_codes",
        sa.Column("join_code", sa.Text(), nullable=False),
        sa.Column("class_id", sa.UUID(), nullable=False),
        sa.PrimaryKeyConstraint("join_code", name=op.f("join_codes_pkey")),
    )
    op.create_table(
        "roster_classes",
        sa.Column("sourced_id", sa.Text(), nullable=False),
        sa.Column("class_id", sa.UUID(), nullable=False),
        sa.PrimaryKeyConstraint("sourced_id", name=op.f("roster_classes_pkey")),
    )
    op.create_index(op.f("roster_classes_class_id_idx"), "roster_classes", ["class_id"])
    op.create_table(
        "roster_users",
        sa.Column("sourced_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.PrimaryKeyConstraint("sourced_id", name=op.f("roster_users_pkey")),
    )
    op.create_index(op.f("roster_users_user_id_idx"), "roster_users", ["user_id"])
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
    op.create_index("user_classes_order_idx", "user_classes", ["user_id", "created_at", "class_id"])


def _create_administration() -> None:
    op.create_table(
        "app_config",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", postgresql.JSONB(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_by_user_id", sa.UUID()),
        sa.PrimaryKeyConstraint("key", name=op.f("app_config_pkey")),
    )
    op.create_table(
        "model_backends",
        sa.Column("backend_id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("base_url", sa.Text(), server_default="", nullable=False),
        sa.Column("key_reference", sa.Text(), server_default="", nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
        sa.Column("deleted_by_user_id", sa.UUID()),
        sa.CheckConstraint(
            "provider IN ('builtin', 'openai', 'anthropic', 'google')",
            name=op.f("model_backends_provider_check"),
        ),
        sa.PrimaryKeyConstraint("backend_id", name=op.f("model_backends_pkey")),
    )
    op.create_index(
        "model_backends_name_key",
        "model_backends",
        ["name"],
        unique=True,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "models",
        sa.Column("model_id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("backend_id", sa.UUID(), nullable=False),
        sa.Column("model_name", sa.Text(), nullable=False),
        sa.Column("temperature", sa.Double(), server_default="0.2", nullable=False),
        sa.Column("max_output_tokens", sa.Integer(), server_default="2048", nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
        sa.Column("deleted_by_user_id", sa.UUID()),
        sa.CheckConstraint("max_output_tokens > 0", name=op.f("models_max_output_tokens_check")),
        sa.CheckConstraint("temperature BETWEEN 0 AND 2", name=op.f("models_temperature_check")),
        sa.ForeignKeyConstraint(
            ["backend_id"], ["model_backends.backend_id"], name=op.f("models_backend_id_fkey")
        ),
        sa.PrimaryKeyConstraint("model_id", name=op.f("models_pkey")),
    )
    op.create_index(
        "models_name_key",
        "models",
        ["backend_id", "model_name"],
        unique=True,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "component_models",
        sa.Column("component", sa.Text(), nullable=False),
        sa.Column("model_id", sa.UUID(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_by_user_id", sa.UUID()),
        sa.CheckConstraint(
            "component IN ('tutor', 'book_ingestion', 'study_plan_generator', 'study_plan_reviewer', "
            "'quiz_generator', 'misconception_detector', 'eval_evaluator', 'eval_simulator')",
            name=op.f("component_models_component_check"),
        ),
        sa.ForeignKeyConstraint(
            ["model_id"], ["models.model_id"], name=op.f("component_models_model_id_fkey")
        ),
        sa.PrimaryKeyConstraint("component", name=op.f("component_models_pkey")),
    )


def _create_records() -> None:
    op.create_table(
        "account_events",
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(), nullable=False),
        sa.Column("permanent", sa.Boolean(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("repeat_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("jsonb_typeof(body) = 'object'", name=op.f("account_events_body_check")),
        sa.CheckConstraint(
            "kind IN ('rights_lost', 'sign_in_ended', 'class_changed', 'user_erased', 'user_merged', "
            "'settings_changed', 'signing_key_retired')",
            name=op.f("account_events_kind_check"),
        ),
        sa.PrimaryKeyConstraint("sequence", name=op.f("account_events_pkey")),
    )
    op.create_index(op.f("account_events_created_at_idx"), "account_events", ["created_at"])
    op.create_index(
        "account_events_repeat_at_idx",
        "account_events",
        ["repeat_at"],
        postgresql_where=sa.text("repeat_at IS NOT NULL"),
    )
    op.create_index(
        "account_events_settings_idx",
        "account_events",
        [sa.literal_column("(body ->> 'user_id')")],
        postgresql_where=sa.text("kind = 'settings_changed'"),
    )
    op.create_index(
        "account_events_transient_idx",
        "account_events",
        ["created_at"],
        postgresql_where=sa.text("NOT permanent"),
    )
    op.create_table(
        "audit_entries",
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("entry_id", sa.UUID(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("actor_user_id", sa.UUID()),
        sa.Column("user_id", sa.UUID()),
        sa.Column("class_id", sa.UUID()),
        sa.Column("resource_id", sa.UUID()),
        sa.Column("details", postgresql.JSONB(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("audit_entries_pkey")),
        sa.UniqueConstraint("entry_id", name=op.f("audit_entries_entry_id_key")),
    )
    op.create_index("audit_entries_actor_user_id_idx", "audit_entries", ["actor_user_id", "sequence"])
    op.create_index("audit_entries_class_id_idx", "audit_entries", ["class_id", "sequence"])
    op.create_index("audit_entries_user_id_idx", "audit_entries", ["user_id", "sequence"])
    op.create_table(
        "feed_epochs",
        sa.Column("epoch", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.PrimaryKeyConstraint("epoch", name=op.f("feed_epochs_pkey")),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("body_hash", sa.LargeBinary(), nullable=False),
        sa.Column("response", sa.LargeBinary()),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("principal", "method", "request_id", name=op.f("idempotency_keys_pkey")),
    )
    op.create_index(op.f("idempotency_keys_created_at_idx"), "idempotency_keys", ["created_at"])
    op.create_table(
        "outbox",
        sa.Column("position", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("message_id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("outbox_pkey")),
        sa.UniqueConstraint("message_id", name=op.f("outbox_message_id_key")),
    )
