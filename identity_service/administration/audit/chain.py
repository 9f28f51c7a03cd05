"""The chain: how entries are added to it, and how it is verified."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC
from typing import NamedTuple

from chassis import audit
from chassis.database import Database, Transaction
from chassis.outbox import Deliver, Fact
from identity_service.administration.audit import rules, store
from identity_service.administration.audit.store import EntryRow, Head
from meno.access.v1.audit_service_pb2 import AuditAction, AuditEntry

SERVICE = "identity_service"

_PREFIX = "AUDIT_ACTION_"
_BATCH = 1000


async def append(transaction: Transaction, service: str, entries: Iterable[AuditEntry]) -> None:
    """Adds entries of a service, but for those that are there already."""
    await store.lock(transaction)
    last = await store.head(transaction) or Head(0, rules.ORIGIN)
    for entry in entries:
        if await store.is_known(transaction, entry.entry_id):
            continue
        row = _row(last.sequence + 1, service, entry)
        last = Head(row.sequence, rules.seal(last.digest, row))
        await store.add(transaction, row._replace(digest=last.digest))


def deliver(database: Database) -> Deliver:
    """Hands this service's own entries to the chain, which is here."""

    async def hand_over(facts: Sequence[Fact]) -> None:
        async with database.transaction() as transaction:
            await append(transaction, SERVICE, map(audit.entry, facts))

    return hand_over


class Verified(NamedTuple):
    """How far a chain was found unbroken."""

    head: Head
    broken_at: int = 0
    """The first entry that does not follow; 0 while all do."""


_START = Head(0, rules.ORIGIN)


async def verify(database: Database, known: Head | None, start: Head = _START) -> AsyncIterator[Verified]:
    """Reads the chain a batch at a time, and yields how far it is unbroken: last of all, the outcome.

    What lies up to `start` is believed.
    """
    head = start
    while rows := await store.after(database, head.sequence, _BATCH):
        for row in rows:
            follows = row.sequence == head.sequence + 1 and row.digest == rules.seal(head.digest, row)
            if not follows or (known and known.sequence == row.sequence and known.digest != row.digest):
                yield Verified(head, broken_at=head.sequence + 1)
                return
            head = Head(row.sequence, row.digest)
        yield Verified(head)
    if known and known.sequence > head.sequence:
        yield Verified(head, broken_at=head.sequence + 1)
    elif head == start:
        yield Verified(head)


async def before_last(database: Database, count: int) -> Head:
    """The entry after which there are so many, or the start of the chain; a count of 0 is all."""
    last = await store.head(database)
    if last is None or not count or last.sequence <= count:
        return _START
    row, *_ = await store.after(database, last.sequence - count - 1, 1)
    return Head(row.sequence, row.digest)


def message(row: EntryRow) -> AuditEntry:
    """An entry as it travels."""
    entry = AuditEntry(
        entry_id=row.entry_id,
        sequence=row.sequence,
        service=row.service,
        action=AuditAction.Value(f"{_PREFIX}{row.action}"),
        actor_user_id=row.actor_user_id or "",
        user_id=row.user_id or "",
        class_id=row.class_id or "",
        resource_id=row.resource_id or "",
        details=row.details,
        request_id=row.request_id,
        digest=row.digest.hex(),
    )
    entry.occur_time.FromDatetime(row.occurred_at)
    return entry


def _row(sequence: int, service: str, entry: AuditEntry) -> EntryRow:
    return EntryRow(
        sequence=sequence,
        entry_id=entry.entry_id,
        occurred_at=entry.occur_time.ToDatetime(UTC),
        service=service,
        action=AuditAction.Name(entry.action).removeprefix(_PREFIX),
        actor_user_id=entry.actor_user_id or None,
        user_id=entry.user_id or None,
        class_id=entry.class_id or None,
        resource_id=entry.resource_id or None,
        details=dict(entry.details),
        request_id=entry.request_id,
        digest=b"",
    )
