"""The RPCs of the descriptor set, with their access rules and rate limits."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

from chassis.contracts import DEFAULT_MAX_REQUEST_BYTES
from meno.access.v1 import access_pb2
from meno.access.v1.access_pb2 import Allow, Limit

_IDENTITY_PACKAGE = "meno.access.v1"
_IDENTITY_SERVICE = "identity_service"


@dataclass(frozen=True)
class Rpc:
    """An RPC with its upstream service and the options of its contract."""

    grpc_service: str
    """`meno.session.v1.SessionService`."""
    name: str
    upstream: str
    """The service that implements the RPC, such as `session_service`."""
    grants: tuple[Allow, ...]
    limit: Limit
    max_request_bytes: int
    client_streaming: bool
    server_streaming: bool

    @property
    def path(self) -> str:
        """The HTTP/2 path."""
        return f"/{self.grpc_service}/{self.name}"

    @property
    def selector(self) -> str:
        """The full name of the method in descriptors."""
        return f"{self.grpc_service}.{self.name}"

    @property
    def routed(self) -> bool:
        """Whether the gateway routes the RPC, because at least one grant is not for a service."""
        return any(not grant.service for grant in self.grants)

    @property
    def public(self) -> bool:
        """Whether anyone may call the RPC, without a token."""
        return any(grant.public for grant in self.grants)

    @property
    def identity_fields(self) -> list[str]:
        """The request fields on which the access rules depend."""
        names = (name for grant in self.grants for name in (grant.owner, grant.member_of))
        return list(dict.fromkeys(name for name in names if name))


def descriptors() -> Path:
    """Returns the compiled descriptor set of all contracts."""
    return Path(str(files("meno") / "descriptors.binpb"))


def rpcs(descriptors: Path) -> list[Rpc]:
    """Returns every RPC of a descriptor set."""
    return [*_rpcs(_files(descriptors))]


def routed_rpcs(descriptors: Path) -> list[Rpc]:
    """Returns every RPC of a descriptor set that the gateway routes."""
    return [rpc for rpc in rpcs(descriptors) if rpc.routed]


def enum_values(descriptors: Path) -> dict[str, list[str]]:
    """Returns the names of the values of each enum of the contracts, except that of zero, which means unspecified."""
    return {
        f"{file.package}.{enum.name}": [value.name for value in enum.value if value.number]
        for file in _files(descriptors)
        for enum in file.enum_type
    }


def _files(descriptors: Path) -> Iterator[FileDescriptorProto]:
    """Yields the contracts of Meno in a descriptor set."""
    found = FileDescriptorSet.FromString(descriptors.read_bytes())
    return (file for file in found.file if file.package.startswith("meno."))


def _rpcs(files: Iterable[FileDescriptorProto]) -> Iterator[Rpc]:
    for file in files:
        upstream = (
            _IDENTITY_SERVICE
            if file.package == _IDENTITY_PACKAGE
            else f"{file.package.split('.')[1]}_service"
        )
        for service in file.service:
            for method in service.method:
                yield _rpc(file.package, upstream, service, method)


def _rpc(package: str, upstream: str, service: ServiceDescriptorProto, method: MethodDescriptorProto) -> Rpc:
    options = method.options.Extensions
    return Rpc(
        grpc_service=f"{package}.{service.name}",
        name=method.name,
        upstream=upstream,
        grants=tuple(options[access_pb2.allow]),
        limit=options[access_pb2.limit],
        max_request_bytes=options[access_pb2.max_request_bytes] or DEFAULT_MAX_REQUEST_BYTES,
        client_streaming=method.client_streaming,
        server_streaming=method.server_streaming,
    )
