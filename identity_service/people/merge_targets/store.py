"""SQL of merge targets."""

from sqlalchemy import bindparam, null, select

from chassis.database import Transaction, columns, statement
from identity_service.people.merge_targets.types import MergeTarget
from identity_service.tables import users

_THE_USER = users.c.user_id == bindparam("user_id")

GET_FOR_UPDATE = statement(
    select(*columns(MergeTarget, users)).where(_THE_USER, users.c.deleted_at == null()).with_for_update(),
    MergeTarget,
)
MERGED_INTO = statement(select(users.c.merged_into_user_id).where(_THE_USER), str)


async def get_for_update(transaction: Transaction, user_id: str) -> MergeTarget | None:
    """Returns and locks the user, or the user into whom this guest was merged; None if both are deleted."""
    target = await transaction.one(GET_FOR_UPDATE, user_id=user_id)
    if target is None and (merged_into := await transaction.one(MERGED_INTO, user_id=user_id)):
        target = await transaction.one(GET_FOR_UPDATE, user_id=merged_into)
    return target
