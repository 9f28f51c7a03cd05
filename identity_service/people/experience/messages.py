"""Maps entries of the XP ledger to and from the messages of the contract."""

from chassis.conversions import EnumCodec, to_timestamp
from identity_service.people.experience.types import Award, EntryRow
from meno.identity.v1.resources_pb2 import XpEntry, XpReason
from meno.identity.v1.user_service_pb2 import AwardXpRequest

REASONS = EnumCodec(XpReason)


def to_message(row: EntryRow) -> XpEntry:
    """Returns the entry of a row."""
    return XpEntry(
        xp_entry_id=row.xp_entry_id,
        amount=row.amount,
        reason=REASONS.value(row.reason),
        reference_id=row.reference_id or "",
        create_time=to_timestamp(row.created_at),
    )


def to_award(request: AwardXpRequest) -> Award:
    """Returns the award of a request."""
    return Award(
        award_id=request.request_id,
        user_id=request.user_id,
        amount=request.amount,
        reason=REASONS.name(request.reason),
        reference_id=request.reference_id or None,
    )
