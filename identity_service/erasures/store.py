"""SQL of erasures."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert as upsert

from chassis.database import Executor, Transaction, columns, statement
from identity_service.tables import Erasure, ErasureReceipt


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
