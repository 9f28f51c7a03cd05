"""SQL of how sign-ins end and are listed."""

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Interval, bindparam, func, null, select, update

from chassis.database import Executor, Transaction, columns, statement
from identity_service.tables import SignIn

RECENT = timedelta(minutes=15)
"""How long after signing in one may change what one signs in with."""


class SignInRow(NamedTuple):
    """A sign-in as its owner sees it."""

    sign_in_id: str
    created_at: datetime
    rotated_at: datetime | None
    expires_at: datetime


# It expires with it, so that a purge asks for one date, which is indexed.
_END = (
    update(SignIn)
    .where(SignIn.user_id == bindparam("user_id"), SignIn.revoked_at == null())
    .values(revoked_at=func.now(), expires_at=func.least(SignIn.expires_at, func.now()))
)

END = statement(
    _END.where(SignIn.sign_in_id == bindparam("sign_in_id")).returning(SignIn.sign_in_id),
    str,
)
END_ALL = statement(
    _END.where(SignIn.sign_in_id.is_distinct_from(bindparam("but", type_=SignIn.sign_in_id.type)))
)
IS_RECENT = statement(
    select(SignIn.created_at > func.now() - bindparam("recent", type_=Interval)).where(
        SignIn.user_id == bindparam("user_id"), SignIn.sign_in_id == bindparam("sign_in_id")
    ),
    bool,
)
# Rides on the primary key, for ids ascend with time.
PAGE = statement(
    select(*columns(SignInRow, SignIn))
    .where(
        SignIn.user_id == bindparam("user_id"),
        SignIn.sign_in_id < bindparam("before"),
        SignIn.revoked_at == null(),
        SignIn.expires_at > func.now(),
    )
    .order_by(SignIn.sign_in_id.desc())
    .limit(bindparam("limit")),
    SignInRow,
)


async def end(transaction: Transaction, user_id: str, sign_in_id: str) -> str | None:
    """Ends a sign-in and returns its id; None where it is not theirs, or has ended before."""
    return await transaction.one(END, user_id=user_id, sign_in_id=sign_in_id)


async def end_all(transaction: Transaction, user_id: str, but: str | None) -> int:
    """Ends every sign-in of a person `but` one, and returns how many those were."""
    return await transaction.run(END_ALL, user_id=user_id, but=but)


async def is_recent(executor: Executor, user_id: str, sign_in_id: str) -> bool:
    """Whether a sign-in began a moment ago."""
    recent = await executor.one(IS_RECENT, user_id=user_id, sign_in_id=sign_in_id, recent=RECENT)
    return recent is True


async def page(executor: Executor, user_id: str, before: UUID, limit: int) -> list[SignInRow]:
    """The sign-ins of a person that have not ended, newest first."""
    return await executor.all(PAGE, user_id=user_id, before=before, limit=limit)
