"""A request held against the rules that its contract declares for its fields."""

from collections.abc import Iterator
from typing import Any

import protovalidate
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest

from chassis.errors import FieldInvalid

_NUL = "\0"


def validate(message: Message) -> None:
    """Raises FieldInvalid with every rule that a message breaks."""
    violations = protovalidate.collect_violations(message)
    if violations:
        raise FieldInvalid(
            *(
                BadRequest.FieldViolation(
                    field=_field_path(violation.proto.field),
                    description=violation.proto.message,
                    reason=violation.proto.rule_id,
                )
                for violation in violations
            )
        )


def refuse_nul(message: Message) -> None:
    """Raises FieldInvalid where a text holds the character NUL, which no database stores."""
    found = [*_texts_with_nul(message, "")]
    if found:
        raise FieldInvalid(
            *(
                BadRequest.FieldViolation(
                    field=path, description="holds no NUL character", reason="string.nul"
                )
                for path in found
            )
        )


def _texts_with_nul(message: Message, above: str) -> Iterator[str]:
    for field, value in message.ListFields():
        path = f"{above}{field.name}"
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            for key, item in value.items():
                yield from _value_with_nul(key, path)
                yield from _value_with_nul(item, f"{path}[{key!r}]")
        elif field.is_repeated:
            for index, item in enumerate(value):
                yield from _value_with_nul(item, f"{path}[{index}]")
        else:
            yield from _value_with_nul(value, path)


def _value_with_nul(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, Message):
        yield from _texts_with_nul(value, f"{path}.")
    elif isinstance(value, str) and _NUL in value:
        yield path


def _field_path(path: Any) -> str:
    """A field's path as a reader writes it: `events[3].kind`."""
    text = ""
    for element in path.elements if path else ():
        text += ("." if text else "") + element.field_name
        if element.subscript is not None:
            text += f"[{element.subscript.value}]"
    return text
