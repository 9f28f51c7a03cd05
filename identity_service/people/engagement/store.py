"""SQL of everybody's use. Days are those of UTC."""

from datetime import date, datetime, timedelta
from typing import NamedTuple
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
from identity_service.people.users.store import USERS, UserRow
from identity_service.tables import ActivityDay, User, XpEntry


class CountRow(NamedTuple):
    """So many people on a day; on all of the days together where the day is None."""

    day: date | None
    people: int


def _day(moment: SQLColumnExpression[datetime]) -> ColumnElement[date]:
    return cast(func.timezone("UTC", moment), Date)


def _within(moment: SQLColumnExpression[datetime]) -> ColumnElement[bool]:
    return (moment >= bindparam("since")) & (moment < bindparam("until"))


INACTIVE = statement(
    USERS.where(
        ~User.guest,
        User.deleted_at == null(),
        User.deactivated_at == null(),
        User.last_active_at < func.now() - bindparam("away", type_=Interval),
        tuple_(User.last_active_at, User.user_id) > tuple_(bindparam("after"), bindparam("after_id")),
    )
    .order_by(User.last_active_at, User.user_id)
    .limit(bindparam("limit")),
    UserRow,
)
# A day of somebody's own calendar touches two of UTC, of which it may be counted on both.
_MOMENT = func.unnest(array([ActivityDay.first_active_at, ActivityDay.last_active_at])).column_valued(
    "moment"
)
_STUDIED = (
    select(_day(_MOMENT).label("day"), ActivityDay.user_id)
    .where(
        ActivityDay.day >= bindparam("day_before"),
        ActivityDay.day <= bindparam("day_after"),
        _within(_MOMENT),
    )
    .subquery("studied")
)
ACTIVE = statement(
    select(_STUDIED.c.day, func.count(_STUDIED.c.user_id.distinct())).group_by(func.rollup(_STUDIED.c.day)),
    CountRow,
)
_CAME = _day(User.created_at)
NEW = statement(
    select(_CAME, func.count()).where(~User.guest, _within(User.created_at)).group_by(_CAME),
    CountRow,
)
AWARDED = statement(
    select(func.coalesce(func.sum(XpEntry.amount), 0)).where(_within(XpEntry.created_at)), int
)


async def inactive(
    executor: Executor, away: timedelta, after: datetime, after_id: UUID, limit: int
) -> list[UserRow]:
    """Who has not studied for so long, the longest away first, after somebody."""
    return await executor.all(INACTIVE, away=away, after=after, after_id=after_id, limit=limit)


async def active(executor: Executor, since: datetime, until: datetime) -> dict[date | None, int]:
    """How many people studied on each day, and within the time (None)."""
    day_before, day_after = (since - timedelta(days=1)).date(), until.date()
    asked = {"since": since, "until": until, "day_before": day_before, "day_after": day_after}
    return _by_day(await executor.all(ACTIVE, **asked))


async def new(executor: Executor, since: datetime, until: datetime) -> dict[date | None, int]:
    """How many people came on each day, guests left out."""
    return _by_day(await executor.all(NEW, since=since, until=until))


async def awarded(executor: Executor, since: datetime, until: datetime) -> int:
    """How much experience was given, corrections taken off."""
    return await executor.one(AWARDED, since=since, until=until) or 0


def _by_day(rows: list[CountRow]) -> dict[date | None, int]:
    return {row.day: row.people for row in rows}
