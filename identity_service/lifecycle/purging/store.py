"""SQL that finds the next user to erase."""

from datetime import timedelta

from sqlalchemy import Interval, bindparam, exists, func, null, select

from chassis.database import Transaction, statement
from identity_service.tables import sign_ins, users

_RETAINED_SINCE = func.now() - bindparam("retention", type_=Interval)
_IDLE_SINCE = func.now() - bindparam("idle_time", type_=Interval)
_NEXT_DELETED = (
    select(users.c.user_id)
    .where(users.c.deleted_at < _RETAINED_SINCE)
    .order_by(users.c.deleted_at)
    .limit(1)
    .with_for_update()
)

# Replicas purge one after the other, so that each sees the erasures that were committed before.
LOCK = statement(select(func.pg_advisory_xact_lock(func.hashtext("purging"))))
NEXT_DELETED_USER = statement(_NEXT_DELETED.where(users.c.merged_into_user_id == null()), str)
NEXT_MERGED_GUEST = statement(_NEXT_DELETED.where(users.c.merged_into_user_id != null()), str)
# A guest whose client still refreshes tokens is not idle, even if the guest does nothing else.
NEXT_IDLE_GUEST = statement(
    select(users.c.user_id)
    .where(
        users.c.guest,
        users.c.deleted_at == null(),
        users.c.last_active_at < _IDLE_SINCE,
        ~exists().where(
            sign_ins.c.user_id == users.c.user_id,
            func.coalesce(sign_ins.c.rotated_at, sign_ins.c.created_at) >= _IDLE_SINCE,
        ),
    )
    .order_by(users.c.last_active_at)
    .limit(1)
    .with_for_update(of=users),
    str,
)


async def lock(transaction: Transaction) -> None:
    """Waits until no other replica is purging, and keeps the lock until the transaction ends."""
    await transaction.run(LOCK)


async def next_deleted_user(transaction: Transaction, retention: timedelta) -> str | None:
    """Locks and returns the user who was deleted first, or None if none was deleted `retention` ago."""
    return await transaction.one(NEXT_DELETED_USER, retention=retention)


async def next_merged_guest(transaction: Transaction, retention: timedelta) -> str | None:
    """Locks and returns the guest who was merged first, or None if none was merged `retention` ago."""
    return await transaction.one(NEXT_MERGED_GUEST, retention=retention)


async def next_idle_guest(transaction: Transaction, idle_time: timedelta) -> str | None:
    """Locks and returns the guest who has been idle longest, or None if none was idle for `idle_time`."""
    return await transaction.one(NEXT_IDLE_GUEST, idle_time=idle_time)
