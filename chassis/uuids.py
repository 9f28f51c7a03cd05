"""Normalises the UUIDs of requests to lower case.

Ids are compared, hashed and chained as text, and PostgreSQL returns them in lower case.
"""

from functools import cache
from typing import NamedTuple

from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message


class _UuidFields(NamedTuple):
    """The fields of a message type that are UUIDs, and the fields that may contain some."""

    single: tuple[str, ...]
    lists: tuple[str, ...]
    messages: tuple[str, ...]
    message_lists: tuple[str, ...]


def normalize_uuids(message: Message) -> None:
    """Changes every field that the contract declares as a UUID to lower case, in nested messages too."""
    fields = _uuid_fields(message.DESCRIPTOR)
    for name in fields.single:
        value = getattr(message, name)
        if value != (normalized := value.lower()):
            setattr(message, name, normalized)
    for name in fields.lists:
        getattr(message, name)[:] = [value.lower() for value in getattr(message, name)]
    for name in fields.messages:
        if message.HasField(name):
            normalize_uuids(getattr(message, name))
    for name in fields.message_lists:
        for item in getattr(message, name):
            normalize_uuids(item)


@cache
def _uuid_fields(descriptor: Descriptor) -> _UuidFields:
    strings = [field for field in descriptor.fields if field.type == FieldDescriptor.TYPE_STRING]
    messages = [field for field in descriptor.fields if _is_contract_message(field)]
    return _UuidFields(
        single=tuple(field.name for field in strings if _rules(field).string.uuid),
        lists=tuple(field.name for field in strings if _rules(field).repeated.items.string.uuid),
        messages=tuple(field.name for field in messages if not field.is_repeated),
        message_lists=tuple(field.name for field in messages if field.is_repeated),
    )


def _is_contract_message(field: FieldDescriptor) -> bool:
    message = field.message_type
    if message is None or message.GetOptions().map_entry:
        return False
    return not message.file.package.startswith("google.")


def _rules(field: FieldDescriptor) -> validate_pb2.FieldRules:
    return field.GetOptions().Extensions[validate_pb2.field]
