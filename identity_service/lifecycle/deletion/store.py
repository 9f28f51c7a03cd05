"""SQL of what becomes of accounts."""

from sqlalchemy import bindparam, func, null, update

from chassis.database import Transaction, statement
from identity_service.tables import User

_THE_USER = User.user_id == bindparam("user_id")

SET_ROLE = statement(update(User).where(_THE_USER).values(role=bindparam("role")))
DEACTIVATE = statement(
    update(User)
    .where(_THE_USER)
    .values(deactivated_at=func.now(), deactivated_by_user_id=bindparam("by_user_id"))
)
REACTIVATE = statement(
    update(User).where(_THE_USER).values(deactivated_at=null(), deactivated_by_user_id=null())
)
DELETE = statement(
    update(User).where(_THE_USER).values(deleted_at=func.now(), deleted_by_user_id=bindparam("by_user_id"))
)
UNDELETE = statement(update(User).where(_THE_USER).values(deleted_at=null(), deleted_by_user_id=null()))


async def set_role(transaction: Transaction, user_id: str, role: str) -> None:
    """Gives a person another role."""
    await transaction.run(SET_ROLE, user_id=user_id, role=role)


async def deactivate(transaction: Transaction, user_id: str, by_user_id: str) -> None:
    """Shuts a person out."""
    await transaction.run(DEACTIVATE, user_id=user_id, by_user_id=by_user_id)


async def reactivate(transaction: Transaction, user_id: str) -> None:
    """Lets a person in again."""
    await transaction.run(REACTIVATE, user_id=user_id)


async def delete(transaction: Transaction, user_id: str, by_user_id: str) -> None:
    """Deletes an account until it is restored or erased."""
    await transaction.run(DELETE, user_id=user_id, by_user_id=by_user_id)


async def undelete(transaction: Transaction, user_id: str) -> None:
    """Restores a deleted account."""
    await transaction.run(UNDELETE, user_id=user_id)
