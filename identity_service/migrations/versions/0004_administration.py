"""administration: configuration, models, audit; the account feed tells more than lost rights."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

KIND = "account_events_kind_check"
KINDS = (
    "kind IN ('rights_lost', 'sign_in_ended', 'class_changed', 'user_erased', 'user_merged', "
    "'settings_changed')"
)
# Without a key, an installation quotes the material and plans by rule.
BUILTIN = """
WITH backend AS (
    INSERT INTO model_backends (name, provider) VALUES ('Meno', 'BUILTIN') RETURNING backend_id
), model AS (
    INSERT INTO models (backend_id, model_name, temperature)
    SELECT backend_id, model_name, 0 FROM backend, unnest(ARRAY['extractive', 'deterministic']) model_name
    RETURNING model_id, model_name
)
INSERT INTO component_models (component, model_id)
SELECT component, model_id FROM model, unnest(ARRAY[
    'TUTOR', 'BOOK_INGESTION', 'STUDY_PLAN_GENERATOR', 'STUDY_PLAN_REVIEWER', 'QUIZ_GENERATOR',
    'MISCONCEPTION_DETECTOR', 'EVAL_EVALUATOR', 'EVAL_SIMULATOR'
]) component
WHERE model_name = CASE component WHEN 'TUTOR' THEN 'extractive' ELSE 'deterministic' END
"""
COMPONENTS = (
    "component IN ('TUTOR', 'BOOK_INGESTION', 'STUDY_PLAN_GENERATOR', 'STUDY_PLAN_REVIEWER', "
    "'QUIZ_GENERATOR', 'MISCONCEPTION_DETECTOR', 'EVAL_EVALUATOR', 'EVAL_SIMULATOR')"
)
APPEND_ONLY = (
    """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'audit entries are only ever added'; END $$
""",
    """
CREATE TRIGGER audit_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
""",
    # Whoever serves was given all of it, as of every table that appears.
    """
DO $$ DECLARE role name; BEGIN
    FOR role IN SELECT DISTINCT grantee FROM information_schema.role_table_grants
        WHERE table_name = 'audit_entries' AND grantee <> current_user
    LOOP EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON audit_entries FROM %I', role); END LOOP;
END $$
""",
)


def upgrade() -> None:
    op.create_table(
        "app_config",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", postgresql.JSONB(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_by_user_id", sa.UUID(), nullable=True),
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
        sa.CheckConstraint(
            "provider IN ('BUILTIN', 'OPENAI', 'ANTHROPIC', 'GOOGLE')",
            name=op.f("model_backends_provider_check"),
        ),
        sa.PrimaryKeyConstraint("backend_id", name=op.f("model_backends_pkey")),
        sa.UniqueConstraint("name", name=op.f("model_backends_name_key")),
    )
    op.create_table(
        "models",
        sa.Column("model_id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("backend_id", sa.UUID(), nullable=False),
        sa.Column("model_name", sa.Text(), nullable=False),
        sa.Column("temperature", sa.Double(), server_default="0.2", nullable=False),
        sa.Column("max_output", sa.Integer(), server_default="2048", nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("max_output > 0", name=op.f("models_max_output_check")),
        sa.CheckConstraint("temperature BETWEEN 0 AND 2", name=op.f("models_temperature_check")),
        sa.ForeignKeyConstraint(
            ["backend_id"], ["model_backends.backend_id"], name=op.f("models_backend_id_fkey")
        ),
        sa.PrimaryKeyConstraint("model_id", name=op.f("models_pkey")),
        sa.UniqueConstraint("backend_id", "model_name", name=op.f("models_backend_id_model_name_key")),
    )
    op.create_table(
        "component_models",
        sa.Column("component", sa.Text(), nullable=False),
        sa.Column("model_id", sa.UUID(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_by_user_id", sa.UUID(), nullable=True),
        sa.CheckConstraint(
            COMPONENTS,
            name=op.f("component_models_component_check"),
        ),
        sa.ForeignKeyConstraint(
            ["model_id"], ["models.model_id"], name=op.f("component_models_model_id_fkey")
        ),
        sa.PrimaryKeyConstraint("component", name=op.f("component_models_pkey")),
    )
    op.execute(BUILTIN)
    op.create_table(
        "audit_entries",
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("entry_id", sa.UUID(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("actor_user_id", sa.UUID(), nullable=True),
        sa.Column("user_id", sa.UUID(), nullable=True),
        sa.Column("class_id", sa.UUID(), nullable=True),
        sa.Column("resource_id", sa.UUID(), nullable=True),
        sa.Column("details", postgresql.JSONB(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("audit_entries_pkey")),
        sa.UniqueConstraint("entry_id", name=op.f("audit_entries_entry_id_key")),
    )
    op.create_index(
        "audit_entries_actor_user_id_idx", "audit_entries", ["actor_user_id", "sequence"], unique=False
    )
    op.create_index("audit_entries_class_id_idx", "audit_entries", ["class_id", "sequence"])
    op.create_index("audit_entries_user_id_idx", "audit_entries", ["user_id", "sequence"])
    for statement in APPEND_ONLY:
        op.execute(statement)
    op.create_table(
        "outbox",
        sa.Column("position", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("fact_id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("outbox_pkey")),
        sa.UniqueConstraint("fact_id", name=op.f("outbox_fact_id_key")),
    )
    op.create_table(
        "feed_epochs",
        sa.Column("epoch", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.PrimaryKeyConstraint("epoch", name=op.f("feed_epochs_pkey")),
    )
    op.execute("INSERT INTO feed_epochs DEFAULT VALUES")

    op.add_column("account_events", sa.Column("body", postgresql.JSONB()))
    op.add_column("account_events", sa.Column("lasting", sa.Boolean()))
    op.drop_constraint(op.f(KIND), "account_events")
    op.execute("""
        UPDATE account_events SET kind = 'rights_lost', lasting = false,
               body = jsonb_build_object('user_id', user_id, 'rights_version', rights_version)
    """)
    op.alter_column("account_events", "body", nullable=False)
    op.alter_column("account_events", "lasting", nullable=False)
    op.create_check_constraint(op.f(KIND), "account_events", KINDS)
    op.create_check_constraint(
        op.f("account_events_body_check"), "account_events", "jsonb_typeof(body) = 'object'"
    )
    op.create_index(
        "account_events_passing_idx",
        "account_events",
        ["created_at"],
        postgresql_where=sa.text("NOT lasting"),
    )
    op.create_index(
        "account_events_settings_idx",
        "account_events",
        [sa.text("(body ->> 'user_id')")],
        postgresql_where=sa.text("kind = 'settings_changed'"),
    )
    op.drop_column("account_events", "user_id")
    op.drop_column("account_events", "rights_version")


def downgrade() -> None:
    op.add_column("account_events", sa.Column("user_id", sa.UUID()))
    op.add_column("account_events", sa.Column("rights_version", sa.BigInteger()))
    # Nobody follows what the release before does not know.
    op.execute("DELETE FROM account_events WHERE kind <> 'rights_lost'")
    op.drop_constraint(op.f(KIND), "account_events")
    op.execute("""
        UPDATE account_events SET kind = 'RIGHTS_LOST', user_id = (body ->> 'user_id')::uuid,
               rights_version = (body ->> 'rights_version')::bigint
    """)
    op.alter_column("account_events", "user_id", nullable=False)
    op.alter_column("account_events", "rights_version", nullable=False)
    op.create_check_constraint(op.f(KIND), "account_events", "kind IN ('RIGHTS_LOST')")
    op.drop_column("account_events", "lasting")
    op.drop_column("account_events", "body")
    for table in ("feed_epochs", "outbox", "audit_entries"):
        op.drop_table(table)
    op.execute("DROP FUNCTION refuse_change")
    for table in ("component_models", "models", "model_backends", "app_config"):
        op.drop_table(table)
