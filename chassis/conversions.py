"""Conversions between database values and protobuf values."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from chassis.contracts import EnumType


def to_timestamp(moment: datetime | None) -> Timestamp | None:
    """Returns a `timestamptz` as a Timestamp; None stays unset."""
    if moment is None:
        return None
    return Timestamp(seconds=int(moment.timestamp() // 1), nanos=moment.microsecond * 1000)


class EnumCodec:
    """Translates between enum values with the prefix of the contract and names without it, as stored."""

    def __init__(self, enum: EnumType, *, spelling: Callable[[str], str] = str) -> None:
        """`spelling` converts a name of the contract to the stored one, such as `str.lower`."""
        values = enum.DESCRIPTOR.values
        prefix = values[0].name.removesuffix("UNSPECIFIED")
        self._names: dict[int, str] = {
            value.number: spelling(value.name.removeprefix(prefix)) for value in values[1:]
        }
        self._values: dict[str, int] = {name: number for number, name in self._names.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """The stored names of all values."""
        return tuple(self._values)

    def name(self, value: int) -> str:
        """Returns the stored name of a value. Raises KeyError for the unspecified value."""
        return self._names[value]

    def value(self, name: str) -> Any:
        """Returns the enum value of a stored name. Raises KeyError for an unknown name."""
        return self._values[name]
