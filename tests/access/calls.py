"""Makes a call with serialized messages and returns everything that the caller observes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import grpc
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from tests.contracts.rpcs import Rpc

_TIMEOUT_SECONDS = 30.0
# These entries differ between any two calls.
_PER_CALL_METADATA = {"date", "x-request-id", "grpc-status-details-bin"}


@dataclass(frozen=True)
class Outcome:
    """The result of a call."""

    code: str
    reason: str = ""
    status: Status = field(default_factory=Status, compare=False)
    reply: bytes = field(default=b"", repr=False, compare=False)
    """The response; the first message of a stream."""
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """The metadata without the entries that differ between any two calls."""

    @property
    def reached_service(self) -> bool:
        """Whether the gateway forwarded the call to a service."""
        return "x-envoy-upstream-service-time" in self.metadata

    def __str__(self) -> str:
        return f"{self.code} {self.reason}".strip()


async def call(channel: grpc.aio.Channel, rpc: Rpc, request: Message, token: str) -> Outcome:
    """Makes a call with this token, or without a token if it is empty. Reads only the first message of a stream."""
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    path = "/" + "/".join(rpc.name.rsplit(".", 1))
    # A stream of one request is the same on the wire as a unary request. With the stream API of grpc.aio, the call
    # fails with INTERNAL if the server answers before the request is written.
    method = getattr(channel, "unary_stream" if rpc.method.server_streaming else "unary_unary")(path)
    running = method(request.SerializeToString(), metadata=metadata, timeout=_TIMEOUT_SECONDS)
    try:
        if not rpc.method.server_streaming:
            return Outcome("OK", reply=await running)
        first = await running.read()
        running.cancel()
        return Outcome("OK", reply=b"" if first is grpc.aio.EOF else first)
    except grpc.aio.AioRpcError as error:
        return _from_error(error)


def _from_error(error: grpc.aio.AioRpcError) -> Outcome:
    status = rpc_status.from_call(error) or Status(message=error.details() or "")  # type: ignore[arg-type]
    infos = [info for packed in status.details if packed.Unpack(info := ErrorInfo())]
    metadata = (*(error.initial_metadata() or ()), *(error.trailing_metadata() or ()))
    return Outcome(
        error.code().name,
        infos[0].reason if infos else "",
        status,
        metadata={key: str(value) for key, value in metadata if key not in _PER_CALL_METADATA},
    )
