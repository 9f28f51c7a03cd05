"""JSON objects that callers fill as they like, in bounds: as messages, and as the database keeps them."""

import json
import math
from typing import TypeAlias

from google.protobuf.struct_pb2 import Struct, Value

MAX_BYTES = 16 * 1024
MAX_DEPTH = 8
"""Objects and lists within each other, the object itself being the first."""

# Beyond it not every whole number is a double.
_EXACT = 2**53

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


class TooLarge(ValueError):
    """An object of more bytes or levels than are kept."""


class UnsupportedValue(ValueError):
    """An object that no JSON of the database can hold; it says why."""


def to_canonical_json(given: Struct) -> str:
    """An object as JSON, always spelled the same. Raises TooLarge or Unstorable."""
    spelled = _spell(_object(given, MAX_DEPTH))
    if len(spelled.encode()) > MAX_BYTES:
        raise TooLarge
    return spelled


def canonicalize(stored: str) -> str:
    """What the database made of an object's JSON, spelled as `text` does."""
    return _spell(json.loads(stored, parse_int=_number, parse_float=_number))


def from_json(stored: str) -> Struct:
    """An object that the database holds."""
    found = Struct()
    found.update(json.loads(stored, parse_int=float))
    return found


def _spell(value: Json) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _object(from_json: Struct, levels: int) -> dict[str, Json]:
    if not levels:
        raise TooLarge
    return {_storable(name): _value(value, levels - 1) for name, value in from_json.fields.items()}


def _value(value: Value, levels: int) -> Json:
    match value.WhichOneof("kind"):
        case "string_value":
            return _storable(value.string_value)
        case "number_value":
            return _number(value.number_value)
        case "bool_value":
            return value.bool_value
        case "null_value":
            return None
        case "struct_value":
            return _object(value.struct_value, levels)
        case "list_value" if levels:
            return [_value(item, levels - 1) for item in value.list_value.values]
        case "list_value":
            raise TooLarge
        case _:
            raise UnsupportedValue("a value says what it is, be it null")


def _number(given: float | str) -> int | float:
    number = float(given)
    if number.is_integer() and abs(number) < _EXACT:
        return int(number)
    if not math.isfinite(number):
        raise UnsupportedValue("a number is finite")
    return number


def _storable(given: str) -> str:
    if "\0" in given:
        raise UnsupportedValue("a text holds no NUL character")
    return given
