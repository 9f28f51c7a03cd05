"""Maps entries of the audit log to and from the messages of the contract."""

from datetime import UTC

from identity_service.administration.audit.types import EntryRow, Verification
from meno.access.v1.audit_service_pb2 import VerifyAuditChainResponse
from meno.access.v1.resources_pb2 import AuditAction, AuditEntry

_PREFIX = "AUDIT_ACTION_"


def to_message(row: EntryRow) -> AuditEntry:
    """Returns the entry of a row."""
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


def to_row(service: str, entry: AuditEntry) -> EntryRow:
    """Returns the row of an entry that a service recorded, without sequence and digest."""
    return EntryRow(
        sequence=0,
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


def to_verdict(verification: Verification) -> VerifyAuditChainResponse.Verdict:
    """Returns the final result of a verification."""
    head = verification.head
    return VerifyAuditChainResponse.Verdict(
        intact=not verification.broken_at,
        broken_sequence=verification.broken_at,
        head_sequence=head.sequence,
        head_digest=head.digest.hex() if head.sequence else "",
    )
