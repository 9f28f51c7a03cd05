"""Creates requests for any RPC from the rules of its contract: valid ones, and ones with an invalid field."""

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
from meno.content.v1.resources_pb2 import Content, ContentBody
from meno.identity.v1.resources_pb2 import Class, Model, ModelBackend, User, UserSettings

_NO_CHANGE = "an update that changes nothing is rejected"
EXPLICIT_VALUES: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "CreateContentRequest": (
        {"body": ContentBody(lesson=ContentBody.Lesson(text="Read."))},
        "a CEL rule restricts the kinds of a body",
    ),
    "CreateChatRequest": ({"source": 3}, "a general chat requires neither a class nor a lesson"),
    "CreateUserRequest": (
        {"email": "person@example.org"},
        "a CEL rule requires an address, but no single field is required",
    ),
    "SignUpRequest": ({"login_name": "person"}, "a CEL rule requires an identifier"),
    "SignInRequest": ({"login_name": "person"}, "a CEL rule requires an identifier"),
    "LinkCredentialsRequest": ({"login_name": "person"}, "a CEL rule requires a credential"),
    "RequestOneTimeCodeRequest": ({"address": "person@example.org"}, "a CEL rule requires an address"),
    "SetGlobalRoleRequest": (
        {"role": GlobalRole.GLOBAL_ROLE_STUDENT},
        "the first value would remove all permissions of the user",
    ),
    "UpdateUserRequest": ({"user": User(display_name="Ada")}, _NO_CHANGE),
    "UpdateSettingsRequest": ({"settings": UserSettings(prefers_assistive_learning=True)}, _NO_CHANGE),
    "UpdateClassRequest": ({"class_info": Class(title="A")}, _NO_CHANGE),
    "UpdateModelBackendRequest": ({"backend": ModelBackend(enabled=True)}, _NO_CHANGE),
    "UpdateModelRequest": ({"model": Model(max_output_tokens=100)}, _NO_CHANGE),
    "UpdateDraftRequest": ({"content": Content(title="A")}, _NO_CHANGE),
}
"""Values that do not follow from the rules of single fields, with the reason, by message."""

_TEXTS = (
    "018f0000-0000-7000-8000-00000000f00d",
    "a",
    "person@example.org",
    "+4915112345678",
    "123456",
    "env:KEY",
    "a" * 16,
)
_NUMBERS = (1, 0, 3, 10)
_INVALID_TEXTS = ("no uuid", "", " ", "\n", "x" * 30_000)


def _load_contracts() -> None:
    """Imports every contract, because the descriptor pool only contains imported ones."""
    for package in pkgutil.walk_packages(meno.__path__, "meno."):
        if package.name.endswith("_pb2"):
            importlib.import_module(package.name)


_load_contracts()


class NoValidRequest(Exception):
    """No valid request was found: the generator lacks a rule, or EXPLICIT_VALUES lacks a value."""


def find_method(selector: str) -> MethodDescriptor:
    """Returns the descriptor of an RPC, such as `meno.session.v1.SessionService.GetSession`."""
    service, _, name = selector.rpartition(".")
    found: MethodDescriptor = Default().FindServiceByName(service).methods_by_name[name]
    return found


def create_valid(selector: str, ids: Mapping[str, str]) -> Message:
    """Returns the smallest valid request that contains these ids.

    Raises NoValidRequest if a rule is still violated.
    """
    message = GetMessageClass(find_method(selector).input_type)()
    explicit, _ = EXPLICIT_VALUES.get(message.DESCRIPTOR.name, ({}, ""))
    fields: Any = message.DESCRIPTOR.fields_by_name
    for name, value in (*explicit.items(), *ids.items()):
        _put(message, fields[name], value)
    _complete(message)
    if violations := [*_violations(message)]:
        raise NoValidRequest(f"{selector}: {violations}")
    return message


def create_invalid(message: Message, keep: set[str]) -> Message | None:
    """Returns the request with one invalid field, or None if no field can be invalid.

    It does not change the fields in `keep`.
    """
    fields = message.DESCRIPTOR.fields_by_name
    for name in sorted((name for name in fields if name not in keep), key=lambda name: name != "request_id"):
        if fields[name].type != FieldDescriptor.TYPE_STRING or fields[name].is_repeated:
            continue
        for text in _INVALID_TEXTS:
            changed = type(message)()
            changed.CopyFrom(message)
            setattr(changed, name, text)
            if any(path == name for path, _ in _violations(changed)):
                return changed
    return None


def text_fields(message: Message) -> dict[str, str]:
    """Returns the values of the text fields of a request, without repeated fields."""
    return {
        field.name: getattr(message, field.name)
        for field in fields_of(message.DESCRIPTOR)
        if field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated
    }


def is_required(field: FieldDescriptor) -> bool:
    """Returns whether a request must set the field."""
    options = field.GetOptions().Extensions
    return (
        FieldBehavior.REQUIRED in options[field_behavior_pb2.field_behavior]
        or options[validate_pb2.field].required
    )


def fields_of(descriptor: Any) -> list[FieldDescriptor]:
    """Returns the fields of a message descriptor."""
    return [*descriptor.fields]


def _complete(message: Message) -> None:
    """Sets the required fields that are not set yet."""
    for field in fields_of(message.DESCRIPTOR):
        if field.is_repeated:
            if is_required(field) and not getattr(message, field.name):
                _put(message, field, [_value(message, field)])
        elif field.message_type is None:
            if is_required(field) and not getattr(message, field.name):
                _put(message, field, _value(message, field))
        elif is_required(field) and not message.HasField(field.name):
            _put(message, field, _value(message, field))


def _value(message: Message, field: FieldDescriptor) -> Any:
    """Returns a value that violates no rule of the field. Raises NoValidRequest."""
    if field.message_type is not None:
        created = GetMessageClass(field.message_type)()
        if isinstance(created, Timestamp):
            created.FromSeconds(1)
        else:
            _complete(created)
        return created
    for candidate in _candidates(field):
        candidate_message = type(message)()
        _put(candidate_message, field, [candidate] if field.is_repeated else candidate)
        if not any(path.partition("[")[0] == field.name for path, _ in _violations(candidate_message)):
            return candidate
    raise NoValidRequest(f"{message.DESCRIPTOR.full_name}.{field.name}: no candidate satisfies its rules")


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
    """Yields the path of each invalid field, and the violated rule."""
    for violation in protovalidate.collect_violations(message):
        elements = violation.proto.field.elements if violation.proto.field else ()
        yield ".".join(element.field_name for element in elements), violation.proto.rule_id
