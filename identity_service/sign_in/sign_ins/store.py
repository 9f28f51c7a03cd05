"""SQL that ends and lists sign-ins."""

from uuid import UUID

from sqlalchemy import bindparam, func, null, select, update

from chassis.database import Executor, Transaction, columns, statement
from identity_service.sign_in.sign_ins.types import SignInRow
from identity_service.tables import sign_ins

_OF_USER = sign_ins.c.user_id == bindparam("user_id")
_THE_SIGN_IN = sign_ins.c.sign_in_id == bindparam("sign_in_id")

# The expiry is set also, so that the purge filters on one indexed column.
_END = (
    update(sign_ins)
    .where(_OF_USER, sign_ins.c.revoked_at == null())
    .values(revoked_at=func.now(), expires_at=func.least(sign_ins.c.expires_at, func.now()))
)

END = statement(_END.where(_THE_SIGN_IN).returning(sign_ins.c.sign_in_id), str)
END_ALL = statement(
    _END.where(sign_ins.c.sign_in_id.is_distinct_from(bindparam("kept_id", type_=sign_ins.c.sign_in_id.type)))
)
# Uses the primary key, because ids ascend with time (UUIDv7).
LIST_BY_USER = statement(
    select(*columns(SignInRow, sign_ins))
    .where(
        _OF_USER,
        sign_ins.c.sign_in_id < bindparam("before"),
        sign_ins.c.revoked_at == null(),
        sign_ins.c.expires_at > func.now(),
    )
    .order_by(sign_ins.c.sign_in_id.desc())
    .limit(bindparam("limit")),
    SignInRow,
)


async def end(transaction: Transaction, user_id: str, sign_in_id: str) -> str | None:
    """Ends a sign-in and returns its id, or None if the user has no such active sign-in."""
    return await transaction.one(END, user_id=user_id, sign_in_id=sign_in_id)


async def end_all(transaction: Transaction, user_id: str, kept_id: str | None) -> int:
    """Ends all sign-ins of a user except `kept_id`, and returns their number."""
    return await transaction.run(END_ALL, user_id=user_id, kept_id=kept_id)


async def list_by_user(executor: Executor, user_id: str, before: UUID, limit: int) -> list[SignInRow]:
    """Returns the active sign-ins of a user, newest first."""
    return await executor.all(LIST_BY_USER, user_id=user_id, before=before, limit=limit)
