"""The error reasons of the contracts, with their status codes and comments."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from meno.access.v1 import access_pb2

_ENUM_TYPE, _VALUE = 5, 2
"""Field numbers of `enum_type` in FileDescriptorProto and of `value` in EnumDescriptorProto."""


class ErrorReason(NamedTuple):
    """A value of the enum ErrorReason of a context."""

    package: str
    """`meno.session.v1`."""
    name: str
    """The name of the value without `ERROR_REASON_`."""
    code: int
    """A google.rpc.Code."""
    comment: str
    """Meaning, remedy, metadata and example."""


def error_reasons(descriptors: Path) -> list[ErrorReason]:
    """Returns the reasons of a descriptor set, in the order of the contracts."""
    files = FileDescriptorSet.FromString(descriptors.read_bytes()).file
    return [reason for file in files for reason in _reasons(file)]


def _reasons(file: FileDescriptorProto) -> Iterator[ErrorReason]:
    comments = {tuple(place.path): place.leading_comments for place in file.source_code_info.location}
    for index, enum in enumerate(file.enum_type):
        if enum.name != "ErrorReason":
            continue
        for number, value in enumerate(enum.value):
            if value.number:
                name = value.name.removeprefix("ERROR_REASON_")
                code = value.options.Extensions[access_pb2.code]
                yield ErrorReason(file.package, name, code, comments[_ENUM_TYPE, index, _VALUE, number])
