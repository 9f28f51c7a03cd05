"""SQL of a person's own password."""

from sqlalchemy import bindparam, func, select, update

from chassis.database import Executor, Transaction, statement
from identity_service.tables import Credential

GET = statement(select(Credential.password_hash).where(Credential.user_id == bindparam("user_id")), str)
REPLACE = statement(
    update(Credential)
    .where(Credential.user_id == bindparam("user_id"), Credential.password_hash == bindparam("old_hash"))
    .values(password_hash=bindparam("new_hash"), updated_at=func.now())
)


async def get(executor: Executor, user_id: str) -> str | None:
    """The hash of a person's password, or None."""
    return await executor.one(GET, user_id=user_id)


async def replace(transaction: Transaction, user_id: str, old_hash: str, new_hash: str) -> bool:
    """Replaces a hash; False where it is another one by now."""
    return await transaction.run(REPLACE, user_id=user_id, old_hash=old_hash, new_hash=new_hash) > 0
