"""Rejects JSON with fields that the contract does not have.

The gateway converts JSON to protobuf, which drops unknown fields. It therefore sends the paths of all fields beside the
request (`deploy/gateway/json_body.lua`): `class_id,content.title`.
"""

import json
from difflib import get_close_matches
from functools import lru_cache
from itertools import islice
from urllib.parse import unquote

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest

from chassis.errors import FieldInvalid

JSON_FIELDS = "meno-json-fields"
"""The metadata key in which the gateway sends the paths, joined by commas. Names are percent-encoded."""

_MAX_VIOLATIONS = 20
_MAX_CACHED = 1024


def check_json_fields(request: Message, paths: str) -> None:
    """Checks that a request has each of the fields. Raises FieldInvalid."""
    violations = _find_unknown(request.DESCRIPTOR, paths)
    if violations:
        raise FieldInvalid(*violations)


@lru_cache(_MAX_CACHED)
def _find_unknown(request: Descriptor, paths: str) -> tuple[BadRequest.FieldViolation, ...]:
    found = (_check_path(request, path.split(".")) for path in paths.split(","))
    # To suggest a name takes 10 µs, and the header has space for 1,300 names.
    return tuple(islice((violation for violation in found if violation), _MAX_VIOLATIONS))


def _check_path(message: Descriptor, names: list[str]) -> BadRequest.FieldViolation | None:
    """Returns the violation of the last field of a path. The fields above it have paths of their own."""
    for name in names[:-1]:
        field = _field(message, unquote(name))
        if field is None or field.message_type is None or not _has_declared_fields(field.message_type):
            return None
        message = field.message_type
    name = unquote(names[-1])
    if _field(message, name) is not None:
        return None
    return BadRequest.FieldViolation(
        field=".".join(map(unquote, names)),
        description=f"is not a field of {message.name}{_suggestion(message, name)}",
        reason="json.unknown_field",
    )


def _field(message: Descriptor, name: str) -> FieldDescriptor | None:
    """Returns a field by either of the names that JSON accepts: `class_id` and `classId`.

    The name may contain escape sequences of JSON.
    """
    if "\\" in name:
        try:
            name = json.loads(f'"{name}"')
            name.encode()
        except ValueError:  # The gateway cuts long names, also within an escape sequence or a surrogate pair.
            return None
    return message.fields_by_name.get(name) or message.fields_by_camelcase_name.get(name)


def _has_declared_fields(message: Descriptor) -> bool:
    """Returns whether the JSON object of a message has declared names: not that of a map or a Struct."""
    return not message.GetOptions().map_entry and not message.full_name.startswith("google.protobuf.")


def _suggestion(message: Descriptor, name: str) -> str:
    similar = get_close_matches(name, message.fields_by_name, n=1)
    return f"; did you mean {similar[0]}?" if similar else f"; it has {', '.join(message.fields_by_name)}"
