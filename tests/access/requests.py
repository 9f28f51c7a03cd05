"""Requests for any RPC, made from what its contract declares: whole ones, and ones with a broken field."""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from typing import Any

import protovalidate
from buf.validate import validate_pb2
from google.api import field_behavior_pb2
from google.api.field_behavior_pb2 import FieldBehavior
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp

import meno
from meno.access.v1.access_pb2 import GlobalRole
from meno.content.v1.resources_pb2 import ContentBody

BY_HAND: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "CreateContentRequest": (
        {"body": ContentBody(lesson=ContentBody.Lesson(text="Read."))},
        "a rule in CEL says which kinds a body may be",
    ),
    "CreateChatRequest": ({"source": 3}, "a chat about nothing needs neither a class nor a lesson"),
    "CreateUserRequest": (
        {"email": "somebody@example.org"},
        "a rule in CEL wants an address, which no field of its own does",
    ),
    "SignUpRequest": ({"login_name": "somebody"}, "a rule in CEL wants something to sign in with"),
    "LinkCredentialsRequest": ({"login_name": "somebody"}, "a rule in CEL wants something to link"),
    "RequestOneTimeCodeRequest": ({"address": "somebody@example.org"}, "a rule in CEL wants an address"),
    "SetGlobalRoleRequest": (
        {"role": GlobalRole.GLOBAL_ROLE_STUDENT},
        "the first value would shut somebody out",
    ),
}
"""What no rule of a single field tells, and why."""

_TEXTS = (
    "018f0000-0000-7000-8000-00000000f00d",
    "a",
    "somebody@example.org",
    "+4915112345678",
    "123456",
    "env:KEY",
    "a" * 16,
)
_NUMBERS = (1, 0, 3, 10)
_BROKEN = ("no uuid", "", " ", "\n", "x" * 30_000)


def _load_contracts() -> None:
    """Makes every contract known, also those that nobody here imports."""
    for package in pkgutil.walk_packages(meno.__path__, "meno."):
        if package.name.endswith("_pb2"):
            importlib.import_module(package.name)


_load_contracts()


class Impossible(Exception):
    """No request can be made: the generator must learn a rule, or the table a value."""


def method(selector: str) -> MethodDescriptor:
    """The descriptor of an RPC, such as `meno.session.v1.SessionService.GetSession`."""
    service, _, name = selector.rpartition(".")
    found: MethodDescriptor = Default().FindServiceByName(service).methods_by_name[name]
    return found


def whole(selector: str, ids: Mapping[str, str]) -> Message:
    """The smallest request that breaks no rule, with these values in its fields. Raises Impossible."""
    message = GetMessageClass(method(selector).input_type)()
    given, _ = BY_HAND.get(message.DESCRIPTOR.name, ({}, ""))
    fields: Any = message.DESCRIPTOR.fields_by_name
    for name, value in (*given.items(), *ids.items()):
        _put(message, fields[name], value)
    _complete(message)
    if violations := [*_violations(message)]:
        raise Impossible(f"{selector}: {violations}")
    return message


def broken(message: Message, keep: set[str]) -> Message | None:
    """The request with one field that breaks a rule, but none of `keep`; None where no field can."""
    fields = message.DESCRIPTOR.fields_by_name
    for name in sorted((name for name in fields if name not in keep), key=lambda name: name != "request_id"):
        if fields[name].type != FieldDescriptor.TYPE_STRING or fields[name].is_repeated:
            continue
        for text in _BROKEN:
            spoilt = type(message)()
            spoilt.CopyFrom(message)
            setattr(spoilt, name, text)
            if any(path == name for path, _ in _violations(spoilt)):
                return spoilt
    return None


def texts(message: Message) -> dict[str, str]:
    """The plain text fields of a request."""
    return {
        field.name: getattr(message, field.name)
        for field in fields_of(message.DESCRIPTOR)
        if field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated
    }


def needed(field: FieldDescriptor) -> bool:
    """Whether a request must set the field."""
    options = field.GetOptions().Extensions
    return (
        FieldBehavior.REQUIRED in options[field_behavior_pb2.field_behavior]
        or options[validate_pb2.field].required
    )


def fields_of(descriptor: Any) -> list[FieldDescriptor]:
    """The fields of a message's descriptor."""
    return [*descriptor.fields]


def _complete(message: Message) -> None:
    """Sets what is needed and not set yet."""
    for field in fields_of(message.DESCRIPTOR):
        if field.is_repeated:
            if needed(field) and not getattr(message, field.name):
                _put(message, field, [_value(message, field)])
        elif field.message_type is None:
            if needed(field) and not getattr(message, field.name):
                _put(message, field, _value(message, field))
        elif needed(field) and not message.HasField(field.name):
            _put(message, field, _value(message, field))


def _value(message: Message, field: FieldDescriptor) -> Any:
    """A value that no rule of the field objects to."""
    if field.message_type is not None:
        made = GetMessageClass(field.message_type)()
        if isinstance(made, Timestamp):
            made.FromSeconds(1)
        else:
            _complete(made)
        return made
    for candidate in _candidates(field):
        tried = type(message)()
        _put(tried, field, [candidate] if field.is_repeated else candidate)
        if not any(path.partition("[")[0] == field.name for path, _ in _violations(tried)):
            return candidate
    raise Impossible(f"{message.DESCRIPTOR.full_name}.{field.name}: no value is known that its rules allow")


def _candidates(field: FieldDescriptor) -> Iterator[Any]:
    rules: Any = field.GetOptions().Extensions[validate_pb2.field]
    if field.is_repeated:
        rules = rules.repeated.items
    if field.type == FieldDescriptor.TYPE_STRING:
        if rules.string.HasField("const"):
            yield rules.string.const
        yield from _TEXTS
    elif field.type == FieldDescriptor.TYPE_BYTES:
        yield b"x" * max(1, rules.bytes.min_len)
    elif field.enum_type is not None:
        yield from (value.number for value in field.enum_type.values[1:])
    elif field.type == FieldDescriptor.TYPE_BOOL:
        yield True
    else:
        yield from _NUMBERS


def _put(message: Message, field: FieldDescriptor, value: Any) -> None:
    if field.is_repeated:
        getattr(message, field.name).extend(value)
    elif field.message_type is not None:
        getattr(message, field.name).CopyFrom(value)
    else:
        setattr(message, field.name, value)


def _violations(message: Message) -> Iterator[tuple[str, str]]:
    """The path of each field that breaks a rule, and the rule."""
    for violation in protovalidate.collect_violations(message):
        elements = violation.proto.field.elements if violation.proto.field else ()
        yield ".".join(element.field_name for element in elements), violation.proto.rule_id
