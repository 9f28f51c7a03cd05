"""Use cases of the audit log: appending entries to the hash chain, and verifying it."""

from collections.abc import AsyncIterator, Iterable, Sequence

from chassis import audit
from chassis.database import Database, Transaction
from chassis.outbox import MessageHandler, OutboxMessage
from identity_service.administration.audit import rules, store
from identity_service.administration.audit.messages import to_row
from identity_service.administration.audit.types import ChainHead, EntryRow, Verification

SERVICE = "identity_service"

_BATCH_SIZE = 1000


async def append(transaction: Transaction, entries: Iterable[EntryRow]) -> None:
    """Appends entries to the chain, except those that it already contains."""
    await store.lock(transaction)
    head = await store.get_head(transaction) or rules.GENESIS
    for entry in entries:
        if await store.exists(transaction, entry.entry_id):
            continue
        row = rules.append(head, entry)
        await store.add(transaction, row)
        head = ChainHead(row.sequence, row.digest)


def create_local_handler(database: Database) -> MessageHandler:
    """Returns the outbox handler that appends the entries of this service to the chain."""

    async def append_entries(messages: Sequence[OutboxMessage]) -> None:
        entries = [to_row(SERVICE, audit.to_entry(message)) for message in messages]
        async with database.transaction() as transaction:
            await append(transaction, entries)

    return append_entries


async def verify(
    database: Database, known: ChainHead | None, start: ChainHead = rules.GENESIS
) -> AsyncIterator[Verification]:
    """Reads the chain in batches and yields the result so far; the last one is the outcome.

    Entries up to `start` are trusted. `known` is an entry that the caller noted earlier: the chain is also
    broken if it contains another digest at that position, or ends before it.
    """
    head = start
    while rows := await store.list_after(database, head.sequence, _BATCH_SIZE):
        for row in rows:
            replaced = known is not None and known.sequence == row.sequence and known.digest != row.digest
            if replaced or not rules.follows(head, row):
                yield Verification(head, broken_at=head.sequence + 1)
                return
            head = ChainHead(row.sequence, row.digest)
        yield Verification(head)
    if known and known.sequence > head.sequence:
        yield Verification(head, broken_at=head.sequence + 1)
    elif head == start:
        yield Verification(head)


async def head_before(database: Database, count: int) -> ChainHead:
    """Returns the entry before the last `count` entries, or the start of the chain if `count` is 0."""
    last = await store.get_head(database)
    if last is None or not count or last.sequence <= count:
        return rules.GENESIS
    row, *_ = await store.list_after(database, last.sequence - count - 1, 1)
    return ChainHead(row.sequence, row.digest)
