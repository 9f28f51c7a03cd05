"""SQL of activity days."""

from collections.abc import Sequence
from datetime import date

from sqlalchemy import Date, DateTime, Integer, Text, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY, UUID
from sqlalchemy.dialects.postgresql import insert as upsert

from chassis.database import Executor, Transaction, columns, statement
from identity_service.people.activity.rules import Day
from identity_service.tables import ActivityDay, User

FROM = statement(
    select(*columns(Day, ActivityDay))
    .where(ActivityDay.user_id == bindparam("user_id"), ActivityDay.day >= bindparam("first"))
    .order_by(ActivityDay.day),
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
_PUT = upsert(ActivityDay).from_select(
    ["user_id", *Day._fields], select(bindparam("user_id", type_=UUID), *_NEW.c)
)
PUT = statement(
    _PUT.on_conflict_do_update(
        index_elements=["user_id", "day"], set_={name: _PUT.excluded[name] for name in Day._fields[1:]}
    )
)
MIRROR = statement(
    update(User)
    .where(User.user_id == bindparam("user_id"))
    .values(
        streak=bindparam("streak"),
        streak_day=bindparam("day"),
        streak_zone=bindparam("time_zone"),
        last_active_at=bindparam("last_active_at"),
    )
)


async def from_day(executor: Executor, user_id: str, first: date) -> list[Day]:
    """A person's days from one on, in order."""
    return await executor.all(FROM, user_id=user_id, first=first)


async def put(transaction: Transaction, user_id: str, days: Sequence[Day]) -> None:
    """Adds days, or replaces them."""
    dates, zones, streaks, firsts, lasts = ([day[place] for day in days] for place in range(len(Day._fields)))
    await transaction.run(
        PUT, user_id=user_id, days=dates, time_zones=zones, streaks=streaks, firsts=firsts, lasts=lasts
    )


async def mirror(transaction: Transaction, user_id: str, last: Day) -> None:
    """Copies the last day into the person's own row."""
    await transaction.run(
        MIRROR,
        user_id=user_id,
        streak=last.streak,
        day=last.day,
        time_zone=last.time_zone,
        last_active_at=last.last_active_at,
    )
