"""A call as bytes, and everything that its caller learns from how it ends."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from tests.contracts.rpcs import Rpc

_PATIENCE = 30.0
# What differs between any two calls.
_OF_THE_CALL = {"date", "x-request-id", "grpc-status-details-bin"}


@dataclass(frozen=True)
class Outcome:
    """What came of a call."""

    code: str
    reason: str = ""
    status: Status = field(default_factory=Status, compare=False)
    reply: bytes = field(default=b"", repr=False, compare=False)
    """The answer; of a stream its first message."""
    told: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """The metadata, without what differs between any two calls."""

    @property
    def reached(self) -> bool:
        """Whether the gateway handed the call on."""
        return "x-envoy-upstream-service-time" in self.told

    def __str__(self) -> str:
        return f"{self.code} {self.reason}".strip()


async def call(channel: grpc.aio.Channel, rpc: Rpc, request: Message, token: str) -> Outcome:
    """Makes a call as this token's person, or as nobody. Of a stream only the beginning is read."""
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    path = "/" + "/".join(rpc.name.rsplit(".", 1))
    kind = "stream" if rpc.method.client_streaming else "unary"
    answer = "stream" if rpc.method.server_streaming else "unary"
    raw = request.SerializeToString()
    sent: Any = iter([raw]) if rpc.method.client_streaming else raw
    made = getattr(channel, f"{kind}_{answer}")(path)(sent, metadata=metadata, timeout=_PATIENCE)
    try:
        if not rpc.method.server_streaming:
            return Outcome("OK", reply=await made)
        first = await made.read()
        made.cancel()
        return Outcome("OK", reply=b"" if first is grpc.aio.EOF else first)
    except grpc.aio.AioRpcError as error:
        return _refused(error)


def _refused(error: grpc.aio.AioRpcError) -> Outcome:
    status = rpc_status.from_call(error) or Status(message=error.details() or "")  # type: ignore[arg-type]
    infos = [info for packed in status.details if packed.Unpack(info := ErrorInfo())]
    metadata = (*(error.initial_metadata() or ()), *(error.trailing_metadata() or ()))
    return Outcome(
        error.code().name,
        infos[0].reason if infos else "",
        status,
        told={key: str(value) for key, value in metadata if key not in _OF_THE_CALL},
    )
