"""Validates requests against the rules of their contract (protovalidate)."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import protovalidate
from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.rpc.error_details_pb2 import BadRequest

from chassis.errors import FieldInvalid

_NUL = "\0"


def validate(message: Message) -> None:
    """Validates a message. Raises FieldInvalid with every violation."""
    # First, because the other rules of a list cannot be evaluated if it is very long.
    _check_lengths(message)
    violations = protovalidate.collect_violations(message)
    if violations:
        raise FieldInvalid(
            *(
                BadRequest.FieldViolation(
                    field=_field_path(violation.proto.field),
                    description=_description(message, violation.proto),
                    reason=violation.proto.rule_id,
                )
                for violation in violations
            )
        )


def _description(request: Message, violation: Any) -> str:
    """Returns the description of a violation. protovalidate does not list the values of an enum."""
    description: str = violation.message
    if not violation.rule_id.startswith("enum."):
        return description
    *above, last = (element.field_name for element in violation.field.elements)
    message: Any = request.DESCRIPTOR
    for name in above:
        message = message.fields_by_name[name].message_type
    field = message.fields_by_name[last]
    excluded = {0, *field.GetOptions().Extensions[validate_pb2.field].enum.not_in}
    names = (value.name for value in field.enum_type.values if value.number not in excluded)
    return f"must be one of {', '.join(names)}"


def _check_lengths(message: Message) -> None:
    violations = [
        BadRequest.FieldViolation(
            field=name,
            description=f"must contain no more than {max_items} item(s)",
            reason="repeated.max_items",
        )
        for name, max_items in _length_limits(message.DESCRIPTOR)
        if len(getattr(message, name)) > max_items
    ]
    if violations:
        raise FieldInvalid(*violations)


@cache
def _length_limits(descriptor: Descriptor) -> tuple[tuple[str, int], ...]:
    """Returns the lists of a message that have a maximum length, with the length."""
    rules = {
        field.name: field.GetOptions().Extensions[validate_pb2.field].repeated
        for field in descriptor.fields
        if field.is_repeated
    }
    return tuple((name, rule.max_items) for name, rule in rules.items() if rule.HasField("max_items"))


def reject_nul_bytes(message: Message) -> None:
    """Checks that no string contains NUL, which PostgreSQL cannot store. Raises FieldInvalid."""
    found = [*_find_nul(message, "")]
    if found:
        raise FieldInvalid(
            *(
                BadRequest.FieldViolation(
                    field=path, description="must not contain the NUL character", reason="string.nul"
                )
                for path in found
            )
        )


def _find_nul(message: Message, prefix: str) -> Iterator[str]:
    if isinstance(message, Struct):
        # `structs` checks its texts. Visiting each value takes seconds, because numbers contain zero bytes.
        return
    for field, value in message.ListFields():
        path = f"{prefix}{field.name}"
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            for key, item in value.items():
                yield from _find_nul_in_value(key, path)
                yield from _find_nul_in_value(item, f"{path}[{key!r}]")
        elif field.is_repeated:
            for index, item in enumerate(value):
                yield from _find_nul_in_value(item, f"{path}[{index}]")
        else:
            yield from _find_nul_in_value(value, path)


def _find_nul_in_value(value: object, path: str) -> Iterator[str]:
    if isinstance(value, Message):
        yield from _find_nul(value, f"{path}.")
    elif isinstance(value, str) and _NUL in value:
        yield path


def _field_path(path: Any) -> str:
    """Returns a field path in the notation `events[3].kind`."""
    text = ""
    for element in path.elements if path else ():
        text += ("." if text else "") + element.field_name
        if element.subscript is not None:
            text += f"[{element.subscript.value}]"
    return text
