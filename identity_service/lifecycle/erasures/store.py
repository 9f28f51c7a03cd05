"""SQL of erasures and their receipts."""

from datetime import datetime

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert as upsert

from chassis.database import Executor, Transaction, columns, statement
from identity_service.lifecycle.erasures.types import ReceiptRow
from identity_service.tables import erasure_receipts, erasures

GET = statement(select(erasures.c.created_at).where(erasures.c.user_id == bindparam("user_id")), datetime)
LIST_RECEIPTS = statement(
    select(*columns(ReceiptRow, erasure_receipts))
    .where(erasure_receipts.c.user_id == bindparam("user_id"))
    .order_by(erasure_receipts.c.service),
    ReceiptRow,
)
ADD = statement(
    upsert(erasures)
    .values(user_id=bindparam("user_id"))
    .on_conflict_do_nothing()
    .returning(erasures.c.created_at),
    datetime,
)
# Inserts nothing if there is no erasure of this user.
ADD_RECEIPT = statement(
    upsert(erasure_receipts)
    .from_select(
        ["user_id", "service", "rows"],
        select(
            erasures.c.user_id,
            bindparam("service", type_=erasure_receipts.c.service.type),
            bindparam("rows", type_=erasure_receipts.c.rows.type),
        ).where(erasures.c.user_id == bindparam("user_id")),
    )
    .on_conflict_do_nothing()
)


async def get(executor: Executor, user_id: str) -> datetime | None:
    """Returns the time at which the erasure of a user began, or None."""
    return await executor.one(GET, user_id=user_id)


async def list_receipts(executor: Executor, user_id: str) -> list[ReceiptRow]:
    """Returns the receipts of an erasure, sorted by service."""
    return await executor.all(LIST_RECEIPTS, user_id=user_id)


async def add(transaction: Transaction, user_id: str) -> None:
    """Inserts the erasure of a user, if there is none."""
    await transaction.one(ADD, user_id=user_id)


async def add_receipt(transaction: Transaction, user_id: str, service: str, rows: int) -> None:
    """Inserts the receipt of a service, unless it exists or there is no erasure of this user."""
    await transaction.run(ADD_RECEIPT, user_id=user_id, service=service, rows=rows)
