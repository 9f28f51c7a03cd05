"""The descriptor set as descriptors that know each other, and the comments beside them."""

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
    """What a descriptor set declares and says."""

    def __init__(self, descriptors: Path) -> None:
        files = FileDescriptorSet.FromString(descriptors.read_bytes())
        self._pool = DescriptorPool()
        self._comments: dict[str, str] = {}
        for file in files.file:
            self._pool.AddSerializedFile(file.SerializeToString())
            self._comments.update(_comments(file))

    def method(self, rpc: Rpc) -> MethodDescriptor:
        """The descriptor of an RPC."""
        return self._pool.FindServiceByName(rpc.grpc_service).methods_by_name[rpc.name]

    def file(self, name: str) -> FileDescriptor:
        """A file by its path, such as `meno/chat/v1/errors.proto`. Raises KeyError where there is none."""
        return self._pool.FindFileByName(name)

    def comment(self, full_name: str) -> str:
        """The comment above a declaration, as Markdown; empty where there is none."""
        return self._comments.get(full_name, "")


def summary_and_rest(comment: str) -> tuple[str, str]:
    """The first sentence without its full stop, and everything after it."""
    first, _, more = comment.partition("\n\n")
    sentence, *others = _SENTENCE.split(first, maxsplit=1)
    return sentence.removesuffix("."), "\n\n".join(filter(None, [*others, more]))


def _comments(file: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    """Each declaration's full name and comment."""
    for location in file.source_code_info.location:
        if location.leading_comments and (name := _declared(file, location.path)):
            yield name, _markdown(location.leading_comments)


def _declared(file: FileDescriptorProto, path: Sequence[int]) -> str | None:
    """The full name of what a path of field numbers and indexes leads to, where that has a name."""
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
    """Paragraphs on one line each, the errors in one of their own; what is indented keeps its lines."""
    lines = [line.removeprefix(" ").rstrip() for line in comment.strip("\n").splitlines()]
    paragraphs = re.sub(r"\s(?=Errors: )", "\n\n", "\n".join(lines)).split("\n\n")
    return "\n\n".join(text if text.startswith("    ") else " ".join(text.split()) for text in paragraphs)
