"""SQL of guests and of their merge into another account."""

from sqlalchemy import bindparam, delete, func, null, select, update

from chassis.database import Transaction, columns, statement
from identity_service.sign_in.guests.types import GuestRow
from identity_service.tables import activity_days, idempotency_keys, user_settings, users, xp_entries

_GUEST = users.c.user_id == bindparam("guest_id")

GET_FOR_UPDATE = statement(select(*columns(GuestRow, users)).where(_GUEST).with_for_update(), GuestRow)
MOVE_XP = statement(
    update(xp_entries)
    .where(xp_entries.c.user_id == bindparam("guest_id"))
    .values(user_id=bindparam("user_id"))
)
RECOMPUTE_XP = statement(
    update(users)
    .where(users.c.user_id == bindparam("user_id"))
    .values(
        xp=select(func.coalesce(func.sum(xp_entries.c.amount), 0))
        .where(xp_entries.c.user_id == bindparam("user_id"))
        .scalar_subquery()
    )
)
DELETE_DAYS = statement(delete(activity_days).where(activity_days.c.user_id == bindparam("guest_id")))
DELETE_SETTINGS = statement(delete(user_settings).where(user_settings.c.user_id == bindparam("guest_id")))
DELETE_IDEMPOTENCY_KEYS = statement(
    delete(idempotency_keys).where(idempotency_keys.c.principal == bindparam("guest_id"))
)
MARK_MERGED = statement(
    update(users)
    .where(_GUEST)
    .values(
        xp=0,
        streak=0,
        streak_day=null(),
        streak_time_zone=null(),
        deleted_at=func.now(),
        deleted_by_user_id=bindparam("user_id"),
        merged_into_user_id=bindparam("user_id"),
        version=users.c.version + 1,
    )
)


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
