"""Conversions from proto messages to dictionaries, names and times."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp


def to_dict(message: "Message") -> dict[str, Any]:
    """Returns a message in the JSON form of the HTTP API."""
    from google.protobuf.json_format import MessageToDict

    found: dict[str, Any] = MessageToDict(message, always_print_fields_with_no_presence=True)
    return found


def enum_name(message: "Message", field: str) -> str:
    """Returns the name of an enum field without the prefix of its type, or an empty text if it is not set."""
    enum = message.DESCRIPTOR.fields_by_name[field].enum_type
    assert enum is not None
    prefix = enum.values[0].name.removesuffix("UNSPECIFIED")
    name = enum.values_by_number[getattr(message, field)].name.removeprefix(prefix)
    return name if getattr(message, field) else ""


def to_datetime(timestamp: "Timestamp") -> datetime | str:
    """Returns a timestamp in UTC, or an empty text if it is not set."""
    return timestamp.ToDatetime(UTC) if timestamp.seconds else ""


def format_day(timestamp: "Timestamp") -> str:
    """Returns the day of a timestamp in the local time zone, or an empty text if it is not set."""
    found = to_datetime(timestamp)
    return f"{found.astimezone():%Y-%m-%d}" if isinstance(found, datetime) else ""
