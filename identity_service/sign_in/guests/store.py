"""SQL of guests and of their merge into another account."""

from sqlalchemy import bindparam, delete, func, insert, literal, null, select, true, update

from chassis.database import Transaction, columns, statement
from identity_service.sign_in.guests.types import GuestRow
from identity_service.tables import ActivityDay, IdempotencyKeys, User, UserSettings, XpEntry

_GUEST = User.user_id == bindparam("guest_id")

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
GET_FOR_UPDATE = statement(select(*columns(GuestRow, User)).where(_GUEST).with_for_update(), GuestRow)
MOVE_XP = statement(
    update(XpEntry).where(XpEntry.user_id == bindparam("guest_id")).values(user_id=bindparam("user_id"))
)
RECOMPUTE_XP = statement(
    update(User)
    .where(User.user_id == bindparam("user_id"))
    .values(
        xp=select(func.coalesce(func.sum(XpEntry.amount), 0))
        .where(XpEntry.user_id == bindparam("user_id"))
        .scalar_subquery()
    )
)
DELETE_DAYS = statement(delete(ActivityDay).where(ActivityDay.user_id == bindparam("guest_id")))
DELETE_SETTINGS = statement(delete(UserSettings).where(UserSettings.user_id == bindparam("guest_id")))
DELETE_IDEMPOTENCY_KEYS = statement(
    delete(IdempotencyKeys).where(IdempotencyKeys.principal == bindparam("guest_id"))
)
MARK_MERGED = statement(
    update(User)
    .where(_GUEST)
    .values(
        xp=0,
        streak=0,
        streak_day=null(),
        streak_time_zone=null(),
        deleted_at=func.now(),
        deleted_by_user_id=bindparam("user_id"),
        merged_into_user_id=bindparam("user_id"),
        version=User.version + 1,
    )
)


async def add(transaction: Transaction, display_name: str, nickname: str) -> str:
    """Adds a guest and returns the user id."""
    user_id = await transaction.one(ADD, display_name=display_name, nickname=nickname)
    assert user_id is not None
    return user_id


async def get_for_update(transaction: Transaction, guest_id: str) -> GuestRow | None:
    """Returns a user, who may be a guest and deleted, and locks the row until the transaction ends."""
    return await transaction.one(GET_FOR_UPDATE, guest_id=guest_id)


async def move_xp(transaction: Transaction, guest_id: str, user_id: str) -> None:
    """Moves the experience points of a guest to a user and recomputes the total of the user."""
    await transaction.run(MOVE_XP, guest_id=guest_id, user_id=user_id)
    await transaction.run(RECOMPUTE_XP, user_id=user_id)


async def mark_merged(transaction: Transaction, guest_id: str, user_id: str) -> None:
    """Deletes the data of a guest. The row remains and refers to the user that the guest was merged into."""
    await transaction.run(DELETE_DAYS, guest_id=guest_id)
    await transaction.run(DELETE_SETTINGS, guest_id=guest_id)
    await transaction.run(DELETE_IDEMPOTENCY_KEYS, guest_id=guest_id)
    await transaction.run(MARK_MERGED, guest_id=guest_id, user_id=user_id)
