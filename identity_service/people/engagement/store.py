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
from identity_service.tables import activity_days, users, xp_entries


def _day(moment: SQLColumnExpression[datetime]) -> ColumnElement[date]:
    return cast(func.timezone("UTC", moment), Date)


def _within(moment: SQLColumnExpression[datetime]) -> ColumnElement[bool]:
    return (moment >= bindparam("since")) & (moment < bindparam("until"))


LIST_INACTIVE = statement(
    USERS.where(
        ~users.c.guest,
        users.c.deleted_at == null(),
        users.c.deactivated_at == null(),
        users.c.last_active_at < func.now() - bindparam("inactive_for", type_=Interval),
        tuple_(users.c.last_active_at, users.c.user_id) > tuple_(bindparam("after"), bindparam("after_id")),
    )
    .order_by(users.c.last_active_at, users.c.user_id)
    .limit(bindparam("limit")),
    UserRow,
)
# An activity day in a local time zone overlaps two days of UTC. The user counts on both if the first and the
# last activity fall on different ones.
_MOMENT = func.unnest(array([activity_days.c.first_active_at, activity_days.c.last_active_at])).column_valued(
    "moment"
)
_ACTIVE = (
    select(_day(_MOMENT).label("day"), activity_days.c.user_id)
    # First in the list, because `unnest` refers to it.
    .select_from(activity_days)
    .where(
        activity_days.c.day >= bindparam("day_before"),
        activity_days.c.day <= bindparam("day_after"),
        _within(_MOMENT),
    )
    .subquery("active")
)
COUNT_ACTIVE_USERS = statement(
    select(_ACTIVE.c.day, func.count(_ACTIVE.c.user_id.distinct())).group_by(func.rollup(_ACTIVE.c.day)),
    CountRow,
)
_SIGNED_UP_DAY = _day(users.c.created_at)
COUNT_NEW_USERS = statement(
    select(_SIGNED_UP_DAY, func.count())
    .where(~users.c.guest, _within(users.c.created_at))
    .group_by(_SIGNED_UP_DAY),
    CountRow,
)
SUM_AWARDED_XP = statement(
    select(func.coalesce(func.sum(xp_entries.c.amount), 0)).where(_within(xp_entries.c.created_at)), int
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
