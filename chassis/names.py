"""Names that are shown to other users or to language models (the rule `name` in `meno/access/v1/names.proto`)."""

import unicodedata
from functools import cache

from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest

from chassis.errors import FieldInvalid
from chassis.validation import validate
from meno.access.v1 import names_pb2

_JOINERS = "\u200c\u200d"
# The characters that are invisible in every position, except tags: they are an attack, not a slip of the keyboard.
_INVISIBLE = "".join(
    map(
        chr,
        (
            *(0xAD, 0x34F, 0x61C, 0x115F, 0x1160, 0x180E, 0x2800, 0x3164, 0xFEFF, 0xFFA0),
            *range(0x200B, 0x2010),
            *range(0x202A, 0x202F),
            *range(0x2060, 0x2070),
        ),
    )
)
_WHITE_SPACE = "".join(character for character in map(chr, range(0x3001)) if character.isspace())
_TRIMMED = _WHITE_SPACE + _INVISIBLE


def trim(name: str) -> str:
    """Returns a name without white space and invisible characters at its ends.

    A name that consists only of them is returned unchanged.
    """
    text = name.lstrip(_TRIMMED)
    trimmed = text.rstrip(_TRIMMED)
    rest = text[len(trimmed) :]
    # After a combining mark, a joiner changes the shape of the last letter, for example in Malayalam.
    if trimmed and rest[:1] in (*_JOINERS,) and unicodedata.category(trimmed[-1]).startswith("M"):
        trimmed += rest[0]
    return trimmed or name


def trim_names(message: Message) -> None:
    """Trims the names of a request: its own fields, and the fields of the resources in it."""
    for field in _name_fields(message.DESCRIPTOR):
        if name := getattr(message, field):
            setattr(message, field, trim(name))
    for field in _resource_fields(message.DESCRIPTOR):
        if message.HasField(field):
            trim_names(getattr(message, field))


def check_visible(field: str, name: str) -> None:
    """Checks a name that is not a field of a request.

    Raises FieldInvalid for this field if the name has no visible character, or contains a forbidden one.
    """
    try:
        validate(names_pb2.Name(text=name))
    except FieldInvalid as error:
        [details] = error.details
        violations = getattr(details, "field_violations", ())
        raise FieldInvalid(
            *(
                BadRequest.FieldViolation(field=field, description=one.description, reason=one.reason)
                for one in violations
            )
        ) from error


@cache
def _name_fields(descriptor: Descriptor) -> tuple[str, ...]:
    return tuple(
        field.name
        for field in descriptor.fields
        if field.GetOptions().Extensions[validate_pb2.field].string.Extensions[names_pb2.name]
    )


@cache
def _resource_fields(descriptor: Descriptor) -> tuple[str, ...]:
    """Returns the singular fields whose message has names. Deeper messages have none."""
    return tuple(
        field.name
        for field in descriptor.fields
        if field.message_type is not None and not field.is_repeated and _name_fields(field.message_type)
    )
