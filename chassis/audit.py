"""Who did what to whom: recorded with the change itself, kept in the one chain that holds it all.

async with write(database) as transaction:
    ...
    await audit.record(transaction, AuditAction.AUDIT_ACTION_CONTENT_PUBLISHED, class_id=class_id)
"""

from collections.abc import Sequence

import grpc
from google.protobuf.json_format import ParseDict

from chassis import calls, outbox
from chassis.database import Transaction
from chassis.outbox import Deliver, Fact
from meno.access.v1.audit_service_pb2 import AuditAction, AuditEntry, RecordAuditEntriesRequest
from meno.access.v1.audit_service_pb2_grpc import AuditServiceStub

KIND = "audit_entry"

_TIMEOUT = 10.0


async def record(
    transaction: Transaction,
    action: AuditAction.ValueType,
    *,
    actor_user_id: str = "",
    user_id: str = "",
    class_id: str = "",
    resource_id: str = "",
    **details: object,
) -> None:
    """Adds an entry to the transaction that it tells of.

    The actor is whoever calls, unless it is given; nobody where a service works by itself. All are
    ids; `details` are numbers and words of a contract, never names or text.
    """
    call = calls.current_or_none()
    caller = call.caller if call else None
    entry = {
        "action": AuditAction.Name(action),
        "actor_user_id": actor_user_id or (caller.user_id if caller else ""),
        "user_id": user_id,
        "class_id": class_id,
        "resource_id": resource_id,
        "details": {name: str(value) for name, value in details.items()},
        "request_id": call.request_id if call else "",
    }
    await outbox.put(transaction, KIND, {name: value for name, value in entry.items() if value})


def entry(fact: Fact) -> AuditEntry:
    """The entry that a fact is."""
    made = ParseDict(fact.body, AuditEntry())
    made.entry_id = fact.fact_id
    made.occur_time.FromDatetime(fact.created_at)
    return made


def deliver(channel: grpc.aio.Channel) -> Deliver:
    """Hands entries to the service that keeps the chain."""
    chain = AuditServiceStub(channel)

    async def hand_over(facts: Sequence[Fact]) -> None:
        # Without a request_id: each entry has an id, and with whom it travels may change.
        request = RecordAuditEntriesRequest(entries=map(entry, facts))
        await chain.RecordAuditEntries(request, timeout=_TIMEOUT)

    return hand_over
