"""classes whole: life cycle, approval, rosters."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATUS = "class_memberships_status_check"


def upgrade() -> None:
    op.add_column("classes", sa.Column("join_policy", sa.Text(), server_default="OPEN", nullable=False))
    op.add_column("classes", sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True))
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
    policies = "join_policy IN ('OPEN', 'APPROVAL', 'CLOSED')"
    op.create_check_constraint(op.f("classes_join_policy_check"), "classes", policies)
    op.add_column("class_memberships", sa.Column("roster_sourced_id", sa.Text(), nullable=True))
    op.drop_index(op.f("class_memberships_order_idx"), table_name="class_memberships")
    op.create_index(
        "class_memberships_order_idx",
        "class_memberships",
        ["class_id", "status", "created_at", "user_id"],
    )
    op.create_index(
        "class_memberships_ended_by_user_id_idx",
        "class_memberships",
        ["ended_by_user_id"],
        postgresql_where=sa.text("ended_by_user_id IS NOT NULL"),
    )
    op.create_index("class_memberships_user_id_idx", "class_memberships", ["user_id"])
    op.drop_constraint(op.f(STATUS), "class_memberships")
    statuses = "status IN ('ACTIVE', 'PENDING', 'REJECTED', 'LEFT', 'REMOVED')"
    op.create_check_constraint(op.f(STATUS), "class_memberships", statuses)
    op.create_table(
        "roster_users",
        sa.Column("sourced_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.PrimaryKeyConstraint("sourced_id", name=op.f("roster_users_pkey")),
    )
    op.create_index(op.f("roster_users_user_id_idx"), "roster_users", ["user_id"])
    op.create_table(
        "roster_classes",
        sa.Column("sourced_id", sa.Text(), nullable=False),
        sa.Column("class_id", sa.UUID(), nullable=False),
        sa.PrimaryKeyConstraint("sourced_id", name=op.f("roster_classes_pkey")),
    )
    op.create_index(op.f("roster_classes_class_id_idx"), "roster_classes", ["class_id"])


def downgrade() -> None:
    op.drop_table("roster_classes")
    op.drop_table("roster_users")
    # Who waits, or was turned away, was never in the class.
    op.execute("DELETE FROM class_memberships WHERE status IN ('PENDING', 'REJECTED')")
    op.drop_constraint(op.f(STATUS), "class_memberships")
    op.create_check_constraint(op.f(STATUS), "class_memberships", "status IN ('ACTIVE', 'LEFT', 'REMOVED')")
    op.drop_column("class_memberships", "roster_sourced_id")
    op.drop_index("class_memberships_user_id_idx", "class_memberships")
    op.drop_index("class_memberships_ended_by_user_id_idx", "class_memberships")
    op.drop_index("class_memberships_order_idx", "class_memberships")
    op.create_index("class_memberships_order_idx", "class_memberships", ["class_id", "created_at", "user_id"])
    op.drop_index("classes_deleted_by_user_id_idx", "classes")
    op.drop_index("classes_deleted_at_idx", "classes")
    op.drop_column("classes", "archived_at")
    op.drop_column("classes", "join_policy")
