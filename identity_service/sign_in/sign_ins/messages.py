"""Maps sign-ins to messages."""

from chassis.conversions import to_timestamp
from identity_service.sign_in.sign_ins.types import SignInRow
from meno.identity.v1.resources_pb2 import SignIn


def to_message(row: SignInRow, current_id: str) -> SignIn:
    """Returns the message of a sign-in; `current_id` is the sign-in of the caller."""
    return SignIn(
        sign_in_id=row.sign_in_id,
        current=row.sign_in_id == current_id,
        create_time=to_timestamp(row.created_at),
        refresh_time=to_timestamp(row.rotated_at or row.created_at),
        expire_time=to_timestamp(row.expires_at),
    )
