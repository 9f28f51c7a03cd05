"""SQL of the XP ledger."""

from uuid import UUID

from sqlalchemy import bindparam, insert, select, update

from chassis.database import Executor, Transaction, columns, statement
from identity_service.people.experience.types import EntryRow, NewEntry
from identity_service.tables import users, xp_entries

_ENTRY = columns(EntryRow, xp_entries)
_OF_USER = xp_entries.c.user_id == bindparam("user_id")

GET_BY_AWARD = statement(
    select(*_ENTRY).where(_OF_USER, xp_entries.c.award_id == bindparam("award_id")), EntryRow
)
ADD = statement(
    insert(xp_entries).values({name: bindparam(name) for name in NewEntry._fields}).returning(*_ENTRY),
    EntryRow,
)
ADD_TO_TOTAL = statement(
    update(users).where(users.c.user_id == bindparam("user_id")).values(xp=users.c.xp + bindparam("amount"))
)
# Entry ids are UUIDv7, so their order is the order of creation.
LIST_BY_USER = statement(
    select(*_ENTRY)
    .where(_OF_USER, xp_entries.c.xp_entry_id < bindparam("before_id"))
    .order_by(xp_entries.c.xp_entry_id.desc())
    .limit(bindparam("limit")),
    EntryRow,
)


async def get_by_award(executor: Executor, user_id: str, award_id: str) -> EntryRow | None:
    """Returns the entry of an award, or None."""
    return await executor.one(GET_BY_AWARD, user_id=user_id, award_id=award_id)


async def add(transaction: Transaction, entry: NewEntry) -> EntryRow:
    """Inserts an entry, adds its amount to the XP of the user, and returns the entry."""
    row = await transaction.one(ADD, **entry._asdict())
    assert row is not None
    await transaction.run(ADD_TO_TOTAL, user_id=entry.user_id, amount=entry.amount)
    return row


async def list_by_user(executor: Executor, user_id: str, before_id: UUID, limit: int) -> list[EntryRow]:
    """Returns entries of a user with an id below `before_id`, newest first."""
    return await executor.all(LIST_BY_USER, user_id=user_id, before_id=before_id, limit=limit)
