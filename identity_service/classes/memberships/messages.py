"""Maps memberships to the messages of the contract."""

from chassis.conversions import EnumCodec, to_timestamp
from identity_service.classes.memberships.types import MembershipRow
from identity_service.classes.messages import CLASS_ROLES
from meno.identity.v1.resources_pb2 import Membership, MembershipStatus

STATUSES = EnumCodec(MembershipStatus)


def to_message(row: MembershipRow) -> Membership:
    """Returns the membership of a row whose status is ACTIVE or PENDING."""
    return Membership(
        class_id=row.class_id,
        user_id=row.user_id,
        display_name=row.display_name,
        role=CLASS_ROLES.value(row.role),
        status=STATUSES.value(row.status),
        create_time=to_timestamp(row.created_at),
        rostered=row.roster_sourced_id is not None,
    )
