"""What the contracts call it, as a person or a program reads it."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp


def as_dict(message: "Message") -> dict[str, Any]:
    """A message as the JSON of the HTTP API has it."""
    from google.protobuf.json_format import MessageToDict

    found: dict[str, Any] = MessageToDict(message, always_print_fields_with_no_presence=True)
    return found


def time(timestamp: "Timestamp") -> datetime | str:
    """A time; an empty text where it is not set."""
    return timestamp.ToDatetime(UTC) if timestamp.seconds else ""


def day(timestamp: "Timestamp") -> str:
    """The day of a time, by the reader's calendar."""
    found = time(timestamp)
    return f"{found.astimezone():%Y-%m-%d}" if isinstance(found, datetime) else ""
