"""What the contracts declare about each RPC, read once from the compiled descriptors."""

from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from meno.access.v1 import access_pb2
from meno.access.v1.access_pb2 import Allow


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC as its contract declares it."""

    path: str
    """`/package.Service/Name`, as gRPC spells it."""
    request: type[Message]
    response: type[Message]
    client_streaming: bool
    server_streaming: bool
    grants: tuple[Allow, ...]
    """The ways in; none means that nobody may call it."""
    secret: bool
    """Carries passwords or tokens: nothing of it is stored or logged."""
    fields: frozenset[str]
    """Names of the request's top-level fields."""
    identity: tuple[str, ...]
    """The request fields that decide who may call; only a stream's first message has them."""
    identity_numbers: frozenset[int]
    reports_errors: bool
    """A stream whose last message can say why it ended."""

    @property
    def subjects(self) -> tuple[str, ...]:
        """The request fields that name the caller, where `me` may stand."""
        return tuple(dict.fromkeys(grant.owner for grant in self.grants if grant.owner))

    @property
    def public_only(self) -> bool:
        """Open to anybody, so that a token is neither needed nor looked at."""
        return any(grant.public for grant in self.grants)


def methods(service: ServiceDescriptor) -> Iterator[Method]:
    """Yields every RPC of a service."""
    for descriptor in service.methods:
        yield _method(service, descriptor)


def _method(service: ServiceDescriptor, descriptor: MethodDescriptor) -> Method:
    options = descriptor.GetOptions().Extensions
    response = GetMessageClass(descriptor.output_type)
    grants = tuple(options[access_pb2.allow])
    fields = descriptor.input_type.fields_by_name
    identity = tuple(
        dict.fromkeys(name for grant in grants for name in (grant.owner, grant.member_of) if name)
    )
    return Method(
        path=f"/{service.full_name}/{descriptor.name}",
        request=GetMessageClass(descriptor.input_type),
        response=response,
        client_streaming=descriptor.client_streaming,
        server_streaming=descriptor.server_streaming,
        grants=grants,
        secret=options[access_pb2.secret],
        fields=frozenset(fields),
        identity=identity,
        identity_numbers=frozenset(fields[name].number for name in identity),
        reports_errors=descriptor.server_streaming and "error" in response.DESCRIPTOR.fields_by_name,
    )
