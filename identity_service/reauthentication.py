"""Requires a recent sign-in for changes that outlive a stolen access token (compare RFC 9470)."""

from datetime import timedelta

from sqlalchemy import Interval, bindparam, func, select

from chassis.calls import Caller
from chassis.database import Executor, statement
from identity_service.errors import ReauthenticationRequired
from identity_service.tables import sign_ins

WINDOW = timedelta(minutes=15)
"""Maximum age of a recent sign-in. Refreshing its tokens does not renew it."""

IS_RECENT = statement(
    select(sign_ins.c.created_at > func.now() - bindparam("max_age", type_=Interval)).where(
        sign_ins.c.user_id == bindparam("user_id"), sign_ins.c.sign_in_id == bindparam("sign_in_id")
    ),
    bool,
)


async def is_recent(executor: Executor, caller: Caller) -> bool:
    """Returns whether the sign-in of the caller began within WINDOW."""
    recent = await executor.one(
        IS_RECENT, user_id=caller.user_id, sign_in_id=caller.sign_in_id, max_age=WINDOW
    )
    return recent is True


async def check(executor: Executor, caller: Caller) -> None:
    """Raises ReauthenticationRequired if the sign-in of the caller is not recent."""
    if not await is_recent(executor, caller):
        raise ReauthenticationRequired()


async def check_except_guests(executor: Executor, caller: Caller) -> None:
    """Raises ReauthenticationRequired, except for guests: they cannot sign in again, and may leave."""
    if not caller.guest:
        await check(executor, caller)
