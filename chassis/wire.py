"""Values between the database and the wire."""

from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp


def timestamp(moment: datetime | None) -> Timestamp | None:
    """A `timestamptz` as it travels; None stays unset."""
    if moment is None:
        return None
    return Timestamp(seconds=int(moment.timestamp() // 1), nanos=moment.microsecond * 1000)


class Spelling:
    """An enumeration as the contracts spell it, with a prefix, and as the database does, without."""

    def __init__(self, enum: Any, *, lower: bool = False) -> None:
        """`enum` is a generated enum; `lower` is for values that the database has in lower case."""
        values = enum.DESCRIPTOR.values
        prefix = values[0].name.removesuffix("UNSPECIFIED")
        names = {value.number: value.name.removeprefix(prefix) for value in values[1:]}
        self._text: dict[int, str] = {
            number: name.lower() if lower else name for number, name in names.items()
        }
        self._number: dict[str, int] = {text: number for number, text in self._text.items()}

    @property
    def texts(self) -> tuple[str, ...]:
        """Every value as the database spells it."""
        return tuple(self._number)

    def text(self, number: int) -> str:
        """The database's spelling. Raises KeyError for the unspecified value."""
        return self._text[number]

    def number(self, text: str) -> Any:
        """The contract's value."""
        return self._number[text]
