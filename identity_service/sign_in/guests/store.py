"""SQL of guests, and of what becomes of them."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, delete, func, insert, literal, null, select, true, update

from chassis.database import Transaction, columns, statement
from identity_service.tables import ActivityDay, RequestMemory, User, UserSettings, XpEntry


class GuestRow(NamedTuple):
    """Somebody who may be a guest."""

    user_id: str
    guest: bool
    deactivated_at: datetime | None
    deleted_at: datetime | None
    merged_into_user_id: str | None


_GUEST = User.user_id == bindparam("guest_id")
_PERSON = User.user_id == bindparam("user_id")

ADD = statement(
    insert(User)
    .values(
        display_name=bindparam("display_name"),
        nickname=bindparam("nickname"),
        role=literal("STUDENT"),
        guest=true(),
    )
    .returning(User.user_id),
    str,
)
LOCKED = statement(select(*columns(GuestRow, User)).where(_GUEST).with_for_update(), GuestRow)
MOVE_XP = statement(
    update(XpEntry).where(XpEntry.user_id == bindparam("guest_id")).values(user_id=bindparam("user_id"))
)
COUNT_XP = statement(
    update(User)
    .where(_PERSON)
    .values(
        xp=select(func.coalesce(func.sum(XpEntry.amount), 0))
        .where(XpEntry.user_id == bindparam("user_id"))
        .scalar_subquery()
    )
)
DROP_DAYS = statement(delete(ActivityDay).where(ActivityDay.user_id == bindparam("guest_id")))
DROP_SETTINGS = statement(delete(UserSettings).where(UserSettings.user_id == bindparam("guest_id")))
DROP_ANSWERS = statement(delete(RequestMemory).where(RequestMemory.principal == bindparam("guest_id")))
BURY = statement(
    update(User)
    .where(_GUEST)
    .values(
        xp=0,
        streak=0,
        streak_day=null(),
        streak_zone=null(),
        deleted_at=func.now(),
        deleted_by_user_id=bindparam("user_id"),
        merged_into_user_id=bindparam("user_id"),
        version=User.version + 1,
    )
)


async def add(transaction: Transaction, display_name: str, nickname: str) -> str:
    """Adds a guest and returns their id."""
    user_id = await transaction.one(ADD, display_name=display_name, nickname=nickname)
    assert user_id is not None
    return user_id


async def locked(transaction: Transaction, guest_id: str) -> GuestRow | None:
    """Somebody whom nobody else changes until the transaction ends, also where they are no more."""
    return await transaction.one(LOCKED, guest_id=guest_id)


async def move_xp(transaction: Transaction, guest_id: str, user_id: str) -> None:
    """Makes a guest's experience the person's, whose sum it is counted into."""
    await transaction.run(MOVE_XP, guest_id=guest_id, user_id=user_id)
    await transaction.run(COUNT_XP, user_id=user_id)


async def bury(transaction: Transaction, guest_id: str, user_id: str) -> None:
    """Leaves of a guest only who they turned out to be."""
    await transaction.run(DROP_DAYS, guest_id=guest_id)
    await transaction.run(DROP_SETTINGS, guest_id=guest_id)
    await transaction.run(DROP_ANSWERS, guest_id=guest_id)
    await transaction.run(BURY, guest_id=guest_id, user_id=user_id)
