"""UUIDs in one spelling, however a client writes them.

Ids are compared, hashed and sealed as text, and PostgreSQL returns them in lower case.
"""

from functools import cache
from typing import NamedTuple

from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message


class _Places(NamedTuple):
    """The fields of a message type in which ids stand, or may stand further down."""

    ids: tuple[str, ...]
    lists: tuple[str, ...]
    messages: tuple[str, ...]
    repeated: tuple[str, ...]


def spell(message: Message) -> None:
    """Brings every field that its contract calls a UUID to lower case."""
    places = _places(message.DESCRIPTOR)
    for name in places.ids:
        given = getattr(message, name)
        if given != (spelled := given.lower()):
            setattr(message, name, spelled)
    for name in places.lists:
        getattr(message, name)[:] = [given.lower() for given in getattr(message, name)]
    for name in places.messages:
        if message.HasField(name):
            spell(getattr(message, name))
    for name in places.repeated:
        for item in getattr(message, name):
            spell(item)


@cache
def _places(descriptor: Descriptor) -> _Places:
    texts = [field for field in descriptor.fields if field.type == FieldDescriptor.TYPE_STRING]
    within = [field for field in descriptor.fields if _has_contract(field)]
    return _Places(
        ids=tuple(field.name for field in texts if _rules(field).string.uuid),
        lists=tuple(field.name for field in texts if _rules(field).repeated.items.string.uuid),
        messages=tuple(field.name for field in within if not field.is_repeated),
        repeated=tuple(field.name for field in within if field.is_repeated),
    )


def _has_contract(field: FieldDescriptor) -> bool:
    """Whether a field is of a message of ours."""
    of = field.message_type
    return of is not None and not of.GetOptions().map_entry and not of.file.package.startswith("google.")


def _rules(field: FieldDescriptor) -> validate_pb2.FieldRules:
    return field.GetOptions().Extensions[validate_pb2.field]
