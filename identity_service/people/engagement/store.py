"""SQL of engagement statistics. Days are days of UTC."""

from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Date,
    Interval,
    SQLColumnExpression,
    bindparam,
    cast,
    func,
    null,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import array

from chassis.database import Executor, statement
from identity_service.people.engagement.types import CountRow
from identity_service.people.users.store import USERS
from identity_service.people.users.types import UserRow
from identity_service.tables import ActivityDay, User, XpEntry


def _day(moment: SQLColumnExpression[datetime]) -> ColumnElement[date]:
    return cast(func.timezone("UTC", moment), Date)


def _within(moment: SQLColumnExpression[datetime]) -> ColumnElement[bool]:
    return (moment >= bindparam("since")) & (moment < bindparam("until"))


LIST_INACTIVE = statement(
    USERS.where(
        ~User.guest,
        User.deleted_at == null(),
        User.deactivated_at == null(),
        User.last_active_at < func.now() - bindparam("inactive_for", type_=Interval),
        tuple_(User.last_active_at, User.user_id) > tuple_(bindparam("after"), bindparam("after_id")),
    )
    .order_by(User.last_active_at, User.user_id)
    .limit(bindparam("limit")),
    UserRow,
)
# An activity day in a local time zone overlaps two days of UTC. The user counts on both if the first and the
# last activity fall on different ones.
_MOMENT = func.unnest(array([ActivityDay.first_active_at, ActivityDay.last_active_at])).column_valued(
    "moment"
)
_ACTIVE = (
    select(_day(_MOMENT).label("day"), ActivityDay.user_id)
    .where(
        ActivityDay.day >= bindparam("day_before"),
        ActivityDay.day <= bindparam("day_after"),
        _within(_MOMENT),
    )
    .subquery("active")
)
COUNT_ACTIVE_USERS = statement(
    select(_ACTIVE.c.day, func.count(_ACTIVE.c.user_id.distinct())).group_by(func.rollup(_ACTIVE.c.day)),
    CountRow,
)
_SIGNED_UP_DAY = _day(User.created_at)
COUNT_NEW_USERS = statement(
    select(_SIGNED_UP_DAY, func.count())
    .where(~User.guest, _within(User.created_at))
    .group_by(_SIGNED_UP_DAY),
    CountRow,
)
SUM_AWARDED_XP = statement(
    select(func.coalesce(func.sum(XpEntry.amount), 0)).where(_within(XpEntry.created_at)), int
)


async def list_inactive(
    executor: Executor, inactive_for: timedelta, after: datetime, after_id: UUID, limit: int
) -> list[UserRow]:
    """Returns users without activity for so long, longest first, after a time of last activity and an id."""
    return await executor.all(
        LIST_INACTIVE, inactive_for=inactive_for, after=after, after_id=after_id, limit=limit
    )


async def count_active_users(executor: Executor, since: datetime, until: datetime) -> dict[date | None, int]:
    """Returns the number of users who studied on each day, and in the whole period (key None)."""
    day_before, day_after = (since - timedelta(days=1)).date(), until.date()
    rows = await executor.all(
        COUNT_ACTIVE_USERS, since=since, until=until, day_before=day_before, day_after=day_after
    )
    return {row.day: row.users for row in rows}


async def count_new_users(executor: Executor, since: datetime, until: datetime) -> dict[date | None, int]:
    """Returns the number of users who signed up on each day, without guests."""
    rows = await executor.all(COUNT_NEW_USERS, since=since, until=until)
    return {row.day: row.users for row in rows}


async def sum_awarded_xp(executor: Executor, since: datetime, until: datetime) -> int:
    """Returns the XP awarded in the period, less deductions."""
    return await executor.one(SUM_AWARDED_XP, since=since, until=until) or 0
