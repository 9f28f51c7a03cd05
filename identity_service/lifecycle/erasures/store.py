"""SQL of erasures."""

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Interval, bindparam, exists, func, null, select
from sqlalchemy.dialects.postgresql import insert as upsert

from chassis.database import Executor, Transaction, columns, statement
from identity_service.tables import Erasure, ErasureReceipt, SignIn, User


class ReceiptRow(NamedTuple):
    """That a service is done."""

    service: str
    rows: int
    created_at: datetime


GET = statement(select(Erasure.created_at).where(Erasure.user_id == bindparam("user_id")), datetime)
RECEIPTS = statement(
    select(*columns(ReceiptRow, ErasureReceipt))
    .where(ErasureReceipt.user_id == bindparam("user_id"))
    .order_by(ErasureReceipt.service),
    ReceiptRow,
)
ADD = statement(
    upsert(Erasure)
    .values(user_id=bindparam("user_id"))
    .on_conflict_do_nothing()
    .returning(Erasure.created_at),
    datetime,
)
# Of an erasure that nobody asked for there is no receipt.
ADD_RECEIPT = statement(
    upsert(ErasureReceipt)
    .from_select(
        ["user_id", "service", "rows"],
        select(
            Erasure.user_id,
            bindparam("service", type_=ErasureReceipt.service.type),
            bindparam("rows", type_=ErasureReceipt.rows.type),
        ).where(Erasure.user_id == bindparam("user_id")),
    )
    .on_conflict_do_nothing()
)
_KEPT_UNTIL = func.now() - bindparam("kept_for", type_=Interval)
_IDLE_SINCE = func.now() - bindparam("idle_for", type_=Interval)
_DELETED = (
    select(User.user_id)
    .where(User.deleted_at < _KEPT_UNTIL)
    .order_by(User.deleted_at)
    .limit(1)
    .with_for_update()
)
# Replicas purge by turns: each erasure sees those before it.
TAKE_TURN = statement(select(func.pg_advisory_xact_lock(func.hashtext("purging"))))
DUE_DELETED = statement(_DELETED.where(User.merged_into_user_id == null()), str)
DUE_MERGED = statement(_DELETED.where(User.merged_into_user_id != null()), str)
# Who keeps a sign-in fresh is not idle, whatever they do with it.
DUE_GUEST = statement(
    select(User.user_id)
    .where(
        User.guest,
        User.deleted_at == null(),
        User.last_active_at < _IDLE_SINCE,
        ~exists().where(
            SignIn.user_id == User.user_id,
            func.coalesce(SignIn.rotated_at, SignIn.created_at) >= _IDLE_SINCE,
        ),
    )
    .order_by(User.last_active_at)
    .limit(1)
    .with_for_update(of=User),
    str,
)


async def get(executor: Executor, user_id: str) -> datetime | None:
    """When a person's erasure was begun, or None."""
    return await executor.one(GET, user_id=user_id)


async def receipts(executor: Executor, user_id: str) -> list[ReceiptRow]:
    """The services that are done, by name."""
    return await executor.all(RECEIPTS, user_id=user_id)


async def add(transaction: Transaction, user_id: str) -> None:
    """Notes that a person is erased."""
    await transaction.one(ADD, user_id=user_id)


async def add_receipt(transaction: Transaction, user_id: str, service: str, rows: int) -> None:
    """Notes that a service is done, once."""
    await transaction.run(ADD_RECEIPT, user_id=user_id, service=service, rows=rows)


async def take_turn(transaction: Transaction) -> None:
    """Keeps other replicas from purging anybody until the transaction ends."""
    await transaction.run(TAKE_TURN)


async def due_deleted(transaction: Transaction, kept_for: timedelta) -> str | None:
    """Somebody who was deleted longer ago than this, or None; nobody restores them meanwhile."""
    return await transaction.one(DUE_DELETED, kept_for=kept_for)


async def due_merged(transaction: Transaction, kept_for: timedelta) -> str | None:
    """A guest who became somebody else longer ago than this, or None."""
    return await transaction.one(DUE_MERGED, kept_for=kept_for)


async def due_guest(transaction: Transaction, idle_for: timedelta) -> str | None:
    """A guest who has used nothing for so long, or None."""
    return await transaction.one(DUE_GUEST, idle_for=idle_for)
