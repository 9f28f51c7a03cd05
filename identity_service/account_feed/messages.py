"""Maps events of the account feed to the messages of the contract."""

from google.protobuf.json_format import ParseDict

from identity_service.account_feed.types import EventRow
from meno.access.v1.resources_pb2 import AccountEvent


def to_message(row: EventRow) -> AccountEvent:
    """Returns the event of a row."""
    event = ParseDict({row.kind: row.body}, AccountEvent())
    event.sequence = row.sequence
    event.create_time.FromDatetime(row.created_at)
    return event
