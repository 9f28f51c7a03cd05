"""the outbox, the cursor of the account feed, and who is named where."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NAMING = (("sessions", "deleted_by_user_id"),)
"""Columns that name a person in few rows."""


def upgrade() -> None:
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
        "feed_cursor",
        sa.Column("singleton", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("epoch", sa.UUID(), nullable=True),
        sa.Column("sequence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("singleton", name=op.f("feed_cursor_pkey")),
    )
    op.execute("INSERT INTO feed_cursor DEFAULT VALUES")
    for table, column in NAMING:
        op.create_index(
            f"{table}_{column}_idx", table, [column], postgresql_where=sa.text(f"{column} IS NOT NULL")
        )


def downgrade() -> None:
    for table, column in NAMING:
        op.drop_index(f"{table}_{column}_idx", table)
    op.drop_table("feed_cursor")
    op.drop_table("outbox")
