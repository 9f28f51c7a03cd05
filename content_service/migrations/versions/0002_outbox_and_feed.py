"""the outbox, the cursor of the account feed, and who is named where."""

from uuid import UUID

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NAMING = (
    ("contents", "created_by_user_id"),
    ("contents", "deleted_by_user_id"),
    ("content_revisions", "created_by_user_id"),
)
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
    # What is left of somebody who was erased names nobody.
    for table in ("contents", "content_revisions"):
        op.alter_column(table, "created_by_user_id", nullable=True)
    for table, column in NAMING:
        op.create_index(
            f"{table}_{column}_idx", table, [column], postgresql_where=sa.text(f"{column} IS NOT NULL")
        )


def downgrade() -> None:
    for table in ("contents", "content_revisions"):
        author = sa.column("created_by_user_id", sa.UUID())
        nobody = sa.table(table, author).update().where(author == sa.null())
        op.execute(nobody.values(created_by_user_id=UUID(int=0)))
        op.alter_column(table, "created_by_user_id", nullable=False)
    for table, column in NAMING:
        op.drop_index(f"{table}_{column}_idx", table)
    op.drop_table("feed_cursor")
    op.drop_table("outbox")
