"""Generates the tables of `docs/errors.md` from the contracts: every error reason with its status code."""

from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet
from google.rpc.code_pb2 import Code

from deploy.gateway.generated_pages import replace_generated
from meno.access.v1 import access_pb2

PAGE = Path(__file__).resolve().parents[2] / "docs" / "errors.md"

_PREFIX = "ERROR_REASON_"
_ENUM_TYPE, _VALUE = 5, 2
"""Field numbers of `enum_type` in FileDescriptorProto and of `value` in EnumDescriptorProto."""


def update(page: str, descriptor_set: Path) -> str:
    """Returns the page with its current tables. Raises ValueError if the page has no markers."""
    files = FileDescriptorSet.FromString(descriptor_set.read_bytes()).file
    tables = [
        "\n".join(_table(file, index, enum))
        for file in files
        for index, enum in enumerate(file.enum_type)
        if enum.name == "ErrorReason"
    ]
    return replace_generated(page, "\n\n".join(tables) + "\n")


def _table(file: FileDescriptorProto, index: int, enum: EnumDescriptorProto) -> Iterator[str]:
    yield f"### {file.package.removeprefix('meno.')}\n"
    yield "| reason | status code | meaning, remedy and metadata |"
    yield "|---|---|---|"
    comments = {
        tuple(location.path): location.leading_comments for location in file.source_code_info.location
    }
    for number, value in enumerate(enum.value):
        if not value.number:
            continue
        code = Code.Name(value.options.Extensions[access_pb2.code])
        comment = comments[(_ENUM_TYPE, index, _VALUE, number)]
        # The example of a reason is for readers of the contract; the page has the format once.
        meaning = " ".join(comment.partition("Example:")[0].split())
        yield f"| `{value.name.removeprefix(_PREFIX)}` | {code} | {meaning} |"
