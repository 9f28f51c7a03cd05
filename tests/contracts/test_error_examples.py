"""Every error reason of the contracts has a JSON example, and the example is a valid error."""

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from google.protobuf.descriptor_pb2 import EnumDescriptorProto, FileDescriptorSet
from google.rpc.code_pb2 import Code

from deploy.gateway.contracts import descriptors
from meno.access.v1 import access_pb2

_ENUM_TYPE, _VALUE = 5, 2
"""Field numbers of `enum_type` in FileDescriptorProto and of `value` in EnumDescriptorProto."""


class Reason(NamedTuple):
    """An error reason of a contract."""

    context: str
    name: str
    code: int
    comment: str


def _reasons() -> Iterator[Reason]:
    for file in FileDescriptorSet.FromString(descriptors().read_bytes()).file:
        comments = {tuple(place.path): place.leading_comments for place in file.source_code_info.location}
        for index, enum in enumerate(file.enum_type):
            if enum.name == "ErrorReason":
                yield from _values(file.package, index, enum, comments)


def _values(
    context: str, index: int, enum: EnumDescriptorProto, comments: dict[tuple[int, ...], str]
) -> Iterator[Reason]:
    for number, value in enumerate(enum.value):
        if value.number:
            name = value.name.removeprefix("ERROR_REASON_")
            code = value.options.Extensions[access_pb2.code]
            yield Reason(context, name, code, comments[(_ENUM_TYPE, index, _VALUE, number)])


REASONS = [*_reasons()]


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: f"{reason.context}.{reason.name}")
def test_the_example_of_a_reason_has_its_code_and_metadata(reason: Reason) -> None:
    description, found, example = reason.comment.partition("Example:")
    assert found, "the comment has no example"
    status = json.loads(example)
    [info] = status["details"]
    assert info["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
    assert (info["domain"], info["reason"]) == ("meno", reason.name)
    assert status["code"] == reason.code, Code.Name(reason.code)
    # A message that quotes a field error ends with that error.
    assert re.fullmatch(r".+\.|.*[a-z_\]]: must .+", status["message"]), "the message must be a sentence"
    documented = re.findall(r"`(\w+)`", description.partition("Metadata:")[2])
    assert set(info.get("metadata", {})) == set(documented)


def test_all_contexts_have_reasons() -> None:
    contexts = {"access", "identity", "content", "session", "chat"}
    assert {reason.context.split(".")[1] for reason in REASONS} == contexts
