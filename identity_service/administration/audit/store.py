"""SQL of the audit log."""

from sqlalchemy import bindparam, func, insert, select

from chassis.database import Executor, Transaction, columns, statement
from identity_service.administration.audit.types import ChainHead, EntryRow
from identity_service.tables import audit_entries

_ENTRY = columns(EntryRow, audit_entries)
_PAGE = (
    select(*_ENTRY)
    .where(audit_entries.c.sequence < bindparam("before"))
    .order_by(audit_entries.c.sequence.desc())
    .limit(bindparam("limit"))
)

# One writer at a time, because the digest of each entry is computed from the previous one.
LOCK = statement(select(func.pg_advisory_xact_lock(func.hashtext("audit_entries"))))
GET_HEAD = statement(
    select(*columns(ChainHead, audit_entries)).order_by(audit_entries.c.sequence.desc()).limit(1), ChainHead
)
EXISTS = statement(
    select(audit_entries.c.entry_id).where(audit_entries.c.entry_id == bindparam("entry_id")), str
)
ADD = statement(insert(audit_entries).values({name: bindparam(name) for name in EntryRow._fields}))
LIST = statement(_PAGE, EntryRow)
LIST_BY_USER = statement(_PAGE.where(audit_entries.c.user_id == bindparam("user_id")), EntryRow)
LIST_BY_ACTOR = statement(_PAGE.where(audit_entries.c.actor_user_id == bindparam("actor_user_id")), EntryRow)
LIST_BY_CLASS = statement(_PAGE.where(audit_entries.c.class_id == bindparam("class_id")), EntryRow)
LIST_AFTER = statement(
    select(*_ENTRY)
    .where(audit_entries.c.sequence > bindparam("after"))
    .order_by(audit_entries.c.sequence)
    .limit(bindparam("limit")),
    EntryRow,
)


async def lock(transaction: Transaction) -> None:
    """Keeps other transactions from appending to the chain until this one ends."""
    await transaction.run(LOCK)


async def get_head(executor: Executor) -> ChainHead | None:
    """Returns the last entry, or None if the chain is empty."""
    return await executor.one(GET_HEAD)


async def exists(transaction: Transaction, entry_id: str) -> bool:
    """Returns whether the chain contains an entry."""
    return await transaction.one(EXISTS, entry_id=entry_id) is not None


async def add(transaction: Transaction, entry: EntryRow) -> None:
    """Inserts an entry."""
    await transaction.run(ADD, **entry._asdict())


async def list_before(
    executor: Executor,
    before: int,
    limit: int,
    *,
    user_id: str = "",
    actor_user_id: str = "",
    class_id: str = "",
) -> list[EntryRow]:
    """Returns entries with a sequence below `before`, newest first.

    At most one filter applies: the user concerned, the actor or the class, in this order.
    """
    if user_id:
        return await executor.all(LIST_BY_USER, before=before, limit=limit, user_id=user_id)
    if actor_user_id:
        return await executor.all(LIST_BY_ACTOR, before=before, limit=limit, actor_user_id=actor_user_id)
    if class_id:
        return await executor.all(LIST_BY_CLASS, before=before, limit=limit, class_id=class_id)
    return await executor.all(LIST, before=before, limit=limit)


async def list_after(executor: Executor, sequence: int, limit: int) -> list[EntryRow]:
    """Returns the entries with a sequence above `sequence`, in order."""
    return await executor.all(LIST_AFTER, after=sequence, limit=limit)
