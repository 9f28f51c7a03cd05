"""The descriptor set as the rules of contracts read it, and as a test may change it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from buf.validate import validate_pb2
from google.api import annotations_pb2, field_behavior_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)

from meno.access.v1 import access_pb2
from meno.access.v1.access_pb2 import Allow

_VERBS = ("get", "put", "post", "delete", "patch")


@dataclass(frozen=True)
class Rpc:
    """One RPC."""

    name: str
    """`meno.session.v1.SessionService.GetSession`."""
    method: MethodDescriptorProto
    request: DescriptorProto
    answer: DescriptorProto

    @property
    def verb(self) -> str:
        """The name without the service, such as `GetSession`."""
        return self.method.name

    @property
    def grants(self) -> list[Allow]:
        """The `allow` options."""
        return [*self.method.options.Extensions[access_pb2.allow]]

    @property
    def routed(self) -> bool:
        """Whether the gateway routes it: some grant is not for a service."""
        return any(not grant.service for grant in self.grants)

    @property
    def secret(self) -> bool:
        """Whether it transports passwords or tokens."""
        return bool(self.method.options.Extensions[access_pb2.secret])

    @property
    def identity(self) -> set[str]:
        """The request fields that the grants name."""
        return {name for grant in self.grants for name in (grant.owner, grant.member_of) if name}

    @property
    def http(self) -> list[tuple[str, str, str]]:
        """Verb, path and body of each binding."""
        rule: Any = self.method.options.Extensions[annotations_pb2.http]
        rules = [rule, *rule.additional_bindings]
        return [
            (verb, getattr(one, verb), one.body) for one in rules for verb in _VERBS if getattr(one, verb)
        ]


class Declared:
    """The declarations of the contracts of Meno, by name. Tests may change them."""

    def __init__(self, descriptors: bytes) -> None:
        every = FileDescriptorSet.FromString(descriptors).file
        self.files = [file for file in every if file.package.startswith("meno.")]
        self._others = {
            f".{file.package}.{message.name}": message for file in every for message in file.message_type
        }

    def __getitem__(self, name: str) -> Any:
        """Returns a declaration by its name without `meno.`. Raises ValueError if there is none."""
        package, _, rest = f"meno.{name}".partition(".v1.")
        nodes: list[Any] = [file for file in self.files if file.package == f"{package}.v1"]
        for part in rest.split("."):
            nodes = [child for node in nodes for child in _children(node) if child.name == part]
        [found] = nodes
        return found

    def rpcs(self) -> Iterator[Rpc]:
        """Yields every RPC."""
        messages = {**self._others, **{f".{name}": message for name, message in self.messages()}}
        for file in self.files:
            for service in file.service:
                for method in service.method:
                    request, answer = messages[method.input_type], messages[method.output_type]
                    yield Rpc(f"{file.package}.{service.name}.{method.name}", method, request, answer)

    def messages(self) -> Iterator[tuple[str, DescriptorProto]]:
        """Yields every message of Meno with its full name."""
        for file in self.files:
            yield from _nested(file.package, file.message_type)

    def enums(self) -> Iterator[tuple[str, EnumDescriptorProto]]:
        """Yields every enum of a file with its full name."""
        for file in self.files:
            for enum in file.enum_type:
                yield f"{file.package}.{enum.name}", enum

    def within(self, message: DescriptorProto) -> Iterator[tuple[str, FieldDescriptorProto]]:
        """Yields the fields of a message and of its nested messages of Meno, each once, with their paths."""
        # The entries of a map have no rules: its field has them.
        own = {f".{name}": found for name, found in self.messages() if not found.options.map_entry}
        seen: set[str] = set()
        waiting = [("", message)]
        while waiting:
            path, found = waiting.pop()
            for field in found.field:
                yield f"{path}{field.name}", field
                if field.type_name in own.keys() - seen:
                    seen.add(field.type_name)
                    waiting.append((f"{path}{field.name}.", own[field.type_name]))

    def comments(self) -> Iterator[tuple[str, str]]:
        """Yields the name of every declaration with its comment, which is empty if there is none."""
        for file in self.files:
            locations = file.source_code_info.location
            comments = {tuple(place.path): place.leading_comments.strip() for place in locations}
            yield from ((name, comments.get(path, "")) for path, name in _paths(file, (), file.package))


def rules_of(field: FieldDescriptorProto) -> Any:
    """Returns the validation rules of a field."""
    return field.options.Extensions[validate_pb2.field]


def behaves(field: FieldDescriptorProto, *behaviours: str) -> bool:
    """Returns whether a field has one of these behaviours, such as `OUTPUT_ONLY`."""
    marks = field.options.Extensions[field_behavior_pb2.field_behavior]
    return any(field_behavior_pb2.FieldBehavior.Name(mark) in behaviours for mark in marks)


def _children(node: Any) -> Iterator[Any]:
    for name in _NAMED:
        yield from getattr(node, name, ())


def _nested(package: str, messages: Any) -> Iterator[tuple[str, DescriptorProto]]:
    for message in messages:
        yield f"{package}.{message.name}", message
        yield from _nested(f"{package}.{message.name}", message.nested_type)


def _paths(node: Any, path: tuple[int, ...], name: str) -> Iterator[tuple[tuple[int, ...], str]]:
    """Yields every declaration in a node, with its path in the source info of protoc."""
    for number, descriptor in node.DESCRIPTOR.fields_by_number.items():
        if descriptor.name not in _NAMED:
            continue
        for index, child in enumerate(getattr(node, descriptor.name)):
            if _is_synthetic(node, descriptor.name, index):
                continue
            place, child_name = (*path, number, index), f"{name}.{child.name}"
            yield place, child_name
            yield from _paths(child, place, child_name)


def _is_synthetic(node: Any, kind: str, index: int) -> bool:
    """Returns whether protoc created a declaration: a map entry, or the oneof of an optional field."""
    if kind == "nested_type":
        return bool(node.nested_type[index].options.map_entry)
    if kind == "oneof_decl":
        return any(field.proto3_optional and field.oneof_index == index for field in node.field)
    return False


_NAMED = frozenset(
    {
        "message_type",
        "nested_type",
        "enum_type",
        "service",
        "method",
        "field",
        "oneof_decl",
        "value",
        "extension",
    }
)
