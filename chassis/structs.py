"""JSON objects that callers define (google.protobuf.Struct), as canonical JSON for the database."""

import json
import math
from typing import TypeAlias

from google.protobuf.struct_pb2 import Struct, Value

MAX_BYTES = 16 * 1024
MAX_DEPTH = 8
"""The maximum number of nested objects and lists, including the outermost object."""

# Above this limit, a double does not represent every integer.
_MAX_EXACT_INTEGER = 2**53

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


class TooLarge(ValueError):
    """The object exceeds MAX_BYTES or MAX_DEPTH."""


class UnsupportedValue(ValueError):
    """The object contains a value that jsonb cannot store. The text states the rule and is used in field errors."""


def to_canonical_json(struct: Struct) -> str:
    """Returns an object as canonical JSON: equal objects have equal texts.

    Raises TooLarge or UnsupportedValue.
    """
    text = _dump(_object(struct, MAX_DEPTH))
    if len(text.encode()) > MAX_BYTES:
        raise TooLarge
    return text


def canonicalize(stored: str) -> str:
    """Returns the JSON text of a jsonb value as the canonical JSON that was stored."""
    return _dump(json.loads(stored, parse_int=_number, parse_float=_number))


def from_json(stored: str) -> Struct:
    """Returns the JSON text of a jsonb object as a Struct."""
    struct = Struct()
    struct.update(json.loads(stored, parse_int=float))
    return struct


def _dump(value: Json) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _object(struct: Struct, levels: int) -> dict[str, Json]:
    if not levels:
        raise TooLarge
    return {_text(name): _value(value, levels - 1) for name, value in struct.fields.items()}


def _value(value: Value, levels: int) -> Json:
    match value.WhichOneof("kind"):
        case "string_value":
            return _text(value.string_value)
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
            raise UnsupportedValue("value has no kind set (use null_value)")


def _number(given: float | str) -> int | float:
    number = float(given)
    if number.is_integer() and abs(number) < _MAX_EXACT_INTEGER:
        return int(number)
    if not math.isfinite(number):
        raise UnsupportedValue("a number must be finite")
    return number


def _text(given: str) -> str:
    if "\0" in given:
        raise UnsupportedValue("a text must not contain the NUL character")
    return given
