"""SQL of activity days."""

from collections.abc import Sequence
from datetime import date

from sqlalchemy import Date, DateTime, Integer, Text, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY, UUID, insert

from chassis.database import Executor, Transaction, columns, statement
from identity_service.people.activity.types import Day
from identity_service.tables import activity_days, users

LIST_FROM_DAY = statement(
    select(*columns(Day, activity_days))
    .where(activity_days.c.user_id == bindparam("user_id"), activity_days.c.day >= bindparam("first"))
    .order_by(activity_days.c.day),
    Day,
)
_NEW = (
    func.unnest(
        bindparam("days", type_=ARRAY(Date)),
        bindparam("time_zones", type_=ARRAY(Text)),
        bindparam("streaks", type_=ARRAY(Integer)),
        bindparam("firsts", type_=ARRAY(DateTime(timezone=True))),
        bindparam("lasts", type_=ARRAY(DateTime(timezone=True))),
    )
    .table_valued(*Day._fields, name="new")
    .render_derived()
)
_UPSERT = insert(activity_days).from_select(
    ["user_id", *Day._fields], select(bindparam("user_id", type_=UUID), *_NEW.c)
)
UPSERT = statement(
    _UPSERT.on_conflict_do_update(
        index_elements=["user_id", "day"], set_={name: _UPSERT.excluded[name] for name in Day._fields[1:]}
    )
)
COPY_LAST_ACTIVE = statement(
    update(users)
    .where(users.c.user_id == bindparam("user_id"))
    .values(
        streak=bindparam("streak"),
        streak_day=bindparam("day"),
        streak_time_zone=bindparam("time_zone"),
        last_active_at=bindparam("last_active_at"),
    )
)


async def list_from_day(executor: Executor, user_id: str, first: date) -> list[Day]:
    """Returns the days of a user from `first` on, in order."""
    return await executor.all(LIST_FROM_DAY, user_id=user_id, first=first)


async def upsert(transaction: Transaction, user_id: str, days: Sequence[Day]) -> None:
    """Inserts or replaces days."""
    dates, zones, streaks, firsts, lasts = (
        [day[column] for day in days] for column in range(len(Day._fields))
    )
    await transaction.run(
        UPSERT, user_id=user_id, days=dates, time_zones=zones, streaks=streaks, firsts=firsts, lasts=lasts
    )


async def copy_last_active(transaction: Transaction, user_id: str, last: Day) -> None:
    """Copies the last day to the row of the user, so that reading a user reads one row."""
    await transaction.run(
        COPY_LAST_ACTIVE,
        user_id=user_id,
        streak=last.streak,
        day=last.day,
        time_zone=last.time_zone,
        last_active_at=last.last_active_at,
    )
