"""The linked descriptors of a descriptor set, with their comments."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from google.protobuf.descriptor import FileDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message

from deploy.gateway.contracts import Rpc

_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[^a-z])")


class Contracts:
    """The declarations and comments of a descriptor set."""

    def __init__(self, descriptors: Path) -> None:
        files = FileDescriptorSet.FromString(descriptors.read_bytes())
        self._pool = DescriptorPool()
        self._comments: dict[str, str] = {}
        for file in files.file:
            self._pool.AddSerializedFile(file.SerializeToString())
            self._comments.update(_comments(file))

    def method(self, rpc: Rpc) -> MethodDescriptor:
        """Returns the descriptor of an RPC."""
        return self._pool.FindServiceByName(rpc.grpc_service).methods_by_name[rpc.name]

    def file(self, name: str) -> FileDescriptor:
        """Returns a file by its path, such as `meno/chat/v1/errors.proto`. Raises KeyError if it is unknown."""
        return self._pool.FindFileByName(name)

    def comment(self, full_name: str) -> str:
        """Returns the comment of a declaration as Markdown, or an empty text."""
        return self._comments.get(full_name, "")


def summary_and_rest(comment: str) -> tuple[str, str]:
    """Returns the first sentence without its full stop, and the rest of the comment."""
    first, _, more = comment.partition("\n\n")
    sentence, *others = _SENTENCE.split(first, maxsplit=1)
    return sentence.removesuffix("."), "\n\n".join(filter(None, [*others, more]))


def _comments(file: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    """Yields the full name and the comment of each declaration."""
    for location in file.source_code_info.location:
        if location.leading_comments and (name := _full_name(file, location.path)):
            yield name, _markdown(location.leading_comments)


def _full_name(file: FileDescriptorProto, path: Sequence[int]) -> str | None:
    """Returns the full name of the declaration at a path of field numbers and indexes, or None."""
    if len(path) % 2:
        return None
    node: Message = file
    names = [file.package]
    for number, index in zip(path[::2], path[1::2], strict=True):
        field = node.DESCRIPTOR.fields_by_number.get(number)
        if field is None or not field.is_repeated or field.message_type is None:
            return None
        node = getattr(node, field.name)[index]
        names.append(getattr(node, "name", ""))
    return ".".join(names)


def _markdown(comment: str) -> str:
    """Returns a comment with each paragraph on one line. Errors are a separate paragraph; indented code is kept."""
    lines = [line.removeprefix(" ").rstrip() for line in comment.strip("\n").splitlines()]
    paragraphs = re.sub(r"\s(?=Errors: )", "\n\n", "\n".join(lines)).split("\n\n")
    return "\n\n".join(text if text.startswith("    ") else " ".join(text.split()) for text in paragraphs)
