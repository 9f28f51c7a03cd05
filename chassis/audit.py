"""Records audit entries in the transaction of the change; identity_service keeps them in one chain.

async with write(database) as transaction:
    ...
    await audit.record(transaction, AuditAction.AUDIT_ACTION_CONTENT_PUBLISHED, class_id=class_id)
"""

from collections.abc import Sequence

import grpc
from google.protobuf.json_format import ParseDict

from chassis import calls, outbox
from chassis.database import Transaction
from chassis.outbox import MessageHandler, OutboxMessage
from meno.access.v1.audit_service_pb2 import RecordAuditEntriesRequest
from meno.access.v1.audit_service_pb2_grpc import AuditServiceStub
from meno.access.v1.resources_pb2 import AuditAction, AuditEntry

KIND = "audit_entry"

_RPC_TIMEOUT_SECONDS = 10.0


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
    """Enqueues an audit entry in the transaction of the change.

    The actor is the caller if `actor_user_id` is empty, and empty if a service acts by itself. `details`
    may contain numbers and enum names of a contract, never personal names or text.
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
    await outbox.enqueue(transaction, KIND, {name: value for name, value in entry.items() if value})


def to_entry(message: OutboxMessage) -> AuditEntry:
    """Returns the audit entry of an outbox message."""
    entry = ParseDict(message.body, AuditEntry())
    entry.entry_id = message.message_id
    entry.occur_time.FromDatetime(message.created_at)
    return entry


def message_handler(channel: grpc.aio.Channel) -> MessageHandler:
    """Returns the handler that delivers audit entries to identity_service."""
    stub = AuditServiceStub(channel)

    async def deliver(messages: Sequence[OutboxMessage]) -> None:
        # No request_id: each entry has its own id, and a retry may combine entries differently.
        request = RecordAuditEntriesRequest(entries=map(to_entry, messages))
        await stub.RecordAuditEntries(request, timeout=_RPC_TIMEOUT_SECONDS)

    return deliver
