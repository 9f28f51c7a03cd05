"""SQL that changes the role or the state of an account."""

from sqlalchemy import bindparam, func, null, update

from chassis.database import Transaction, statement
from identity_service.tables import users

_BY_ID = users.c.user_id == bindparam("user_id")

SET_ROLE = statement(update(users).where(_BY_ID).values(role=bindparam("role")))
DEACTIVATE = statement(
    update(users)
    .where(_BY_ID)
    .values(deactivated_at=func.now(), deactivated_by_user_id=bindparam("by_user_id"))
)
REACTIVATE = statement(
    update(users).where(_BY_ID).values(deactivated_at=null(), deactivated_by_user_id=null())
)
MARK_DELETED = statement(
    update(users).where(_BY_ID).values(deleted_at=func.now(), deleted_by_user_id=bindparam("by_user_id"))
)
UNDELETE = statement(update(users).where(_BY_ID).values(deleted_at=null(), deleted_by_user_id=null()))


async def set_role(transaction: Transaction, user_id: str, role: str) -> None:
    """Changes the global role of a user."""
    await transaction.run(SET_ROLE, user_id=user_id, role=role)


async def deactivate(transaction: Transaction, user_id: str, by_user_id: str) -> None:
    """Deactivates an account."""
    await transaction.run(DEACTIVATE, user_id=user_id, by_user_id=by_user_id)


async def reactivate(transaction: Transaction, user_id: str) -> None:
    """Reactivates an account."""
    await transaction.run(REACTIVATE, user_id=user_id)


async def mark_deleted(transaction: Transaction, user_id: str, by_user_id: str) -> None:
    """Marks an account as deleted."""
    await transaction.run(MARK_DELETED, user_id=user_id, by_user_id=by_user_id)


async def undelete(transaction: Transaction, user_id: str) -> None:
    """Restores a deleted account."""
    await transaction.run(UNDELETE, user_id=user_id)
