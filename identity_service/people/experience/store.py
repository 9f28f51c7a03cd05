"""SQL of the ledger of experience."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, insert, select, update

from chassis.database import Executor, Transaction, columns, statement
from identity_service.tables import User, XpEntry


class EntryRow(NamedTuple):
    """An entry of the ledger."""

    xp_entry_id: str
    amount: int
    reason: str
    reference_id: str | None
    created_at: datetime


class NewEntry(NamedTuple):
    """What a person gets, or loses, and what for."""

    user_id: str
    award_id: str
    amount: int
    reason: str
    reference_id: str | None


_ENTRY = columns(EntryRow, XpEntry)
_OF_USER = XpEntry.user_id == bindparam("user_id")

AWARDED = statement(select(*_ENTRY).where(_OF_USER, XpEntry.award_id == bindparam("award_id")), EntryRow)
ADD = statement(
    insert(XpEntry).values({name: bindparam(name) for name in NewEntry._fields}).returning(*_ENTRY), EntryRow
)
COUNT = statement(
    update(User).where(User.user_id == bindparam("user_id")).values(xp=User.xp + bindparam("amount"))
)
# Ids ascend with the time at which they were made.
OF_USER = statement(
    select(*_ENTRY)
    .where(_OF_USER, XpEntry.xp_entry_id < bindparam("before_id"))
    .order_by(XpEntry.xp_entry_id.desc())
    .limit(bindparam("limit")),
    EntryRow,
)


async def awarded(executor: Executor, user_id: str, award_id: str) -> EntryRow | None:
    """The entry of an award, or None."""
    return await executor.one(AWARDED, user_id=user_id, award_id=award_id)


async def add(transaction: Transaction, entry: NewEntry) -> EntryRow:
    """Adds an entry, and its amount to the person's experience."""
    row = await transaction.one(ADD, **entry._asdict())
    assert row is not None
    await transaction.run(COUNT, user_id=entry.user_id, amount=entry.amount)
    return row


async def of_user(executor: Executor, user_id: str, before_id: UUID, limit: int) -> list[EntryRow]:
    """A person's entries before one, newest first."""
    return await executor.all(OF_USER, user_id=user_id, before_id=before_id, limit=limit)
