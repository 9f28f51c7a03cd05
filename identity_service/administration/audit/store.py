"""SQL of the audit chain."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, func, insert, select

from chassis.database import Executor, Statement, Transaction, columns, statement
from identity_service.tables import AuditEntry


class EntryRow(NamedTuple):
    """One entry of the chain."""

    sequence: int
    entry_id: str
    occurred_at: datetime
    service: str
    action: str
    actor_user_id: str | None
    user_id: str | None
    class_id: str | None
    resource_id: str | None
    details: dict[str, str]
    request_id: str
    digest: bytes


class Head(NamedTuple):
    """The last entry: what the next one follows from."""

    sequence: int
    digest: bytes


_ENTRY = columns(EntryRow, AuditEntry)
_PAGE = (
    select(*_ENTRY)
    .where(AuditEntry.sequence < bindparam("before"))
    .order_by(AuditEntry.sequence.desc())
    .limit(bindparam("limit"))
)

# One writer at a time, for each entry follows from the last.
LOCK = statement(select(func.pg_advisory_xact_lock(func.hashtext("audit_entries"))))
HEAD = statement(select(*columns(Head, AuditEntry)).order_by(AuditEntry.sequence.desc()).limit(1), Head)
KNOWN = statement(select(AuditEntry.entry_id).where(AuditEntry.entry_id == bindparam("entry_id")), str)
ADD = statement(insert(AuditEntry).values({name: bindparam(name) for name in EntryRow._fields}))
ALL = statement(_PAGE, EntryRow)
OF_USER = statement(_PAGE.where(AuditEntry.user_id == bindparam("of")), EntryRow)
BY_ACTOR = statement(_PAGE.where(AuditEntry.actor_user_id == bindparam("of")), EntryRow)
IN_CLASS = statement(_PAGE.where(AuditEntry.class_id == bindparam("of")), EntryRow)
AFTER = statement(
    select(*_ENTRY)
    .where(AuditEntry.sequence > bindparam("after"))
    .order_by(AuditEntry.sequence)
    .limit(bindparam("limit")),
    EntryRow,
)


async def lock(transaction: Transaction) -> None:
    """Keeps others from adding to the chain until the transaction ends."""
    await transaction.run(LOCK)


async def head(executor: Executor) -> Head | None:
    """The last entry; None of an empty chain."""
    return await executor.one(HEAD)


async def is_known(transaction: Transaction, entry_id: str) -> bool:
    """Whether an entry was recorded before."""
    return await transaction.one(KNOWN, entry_id=entry_id) is not None


async def add(transaction: Transaction, entry: EntryRow) -> None:
    """Adds an entry."""
    await transaction.run(ADD, **entry._asdict())


async def page(
    executor: Executor, query: Statement[EntryRow], before: int, limit: int, of: str
) -> list[EntryRow]:
    """Entries, newest first: ALL, or those that OF_USER, BY_ACTOR or IN_CLASS find by `of`."""
    return await executor.all(query, before=before, limit=limit, of=of)


async def after(executor: Executor, sequence: int, limit: int) -> list[EntryRow]:
    """The entries that follow, in their order."""
    return await executor.all(AFTER, after=sequence, limit=limit)
