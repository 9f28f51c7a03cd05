"""Expectations on the outcome of calls."""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

# Only a guard against waiting forever: on a busy machine the account feed may need several seconds.
EVENTUALLY_SECONDS = 60

Detail = TypeVar("Detail", bound=Message)
Reply = TypeVar("Reply")


@dataclass(frozen=True)
class RpcFailure:
    """The error of a call."""

    code: str
    """The name of the gRPC status code, such as NOT_FOUND."""
    reason: str
    """The ErrorReason of the context, without its prefix."""
    metadata: dict[str, str]
    status: Status

    def detail(self, kind: type[Detail]) -> Detail:
        """Returns the detail of a type. Raises LookupError if the status has none."""
        for packed in self.status.details:
            found = kind()
            if packed.Unpack(found):
                return found
        raise LookupError(kind.DESCRIPTOR.full_name)


async def expect_error(call: Awaitable[object] | AsyncIterable[object]) -> RpcFailure:
    """Awaits a call that must fail, and returns its error. Raises AssertionError if it succeeds."""
    try:
        if isinstance(call, AsyncIterable):
            replies: object = [reply async for reply in call]
        else:
            replies = await call
    except grpc.aio.AioRpcError as error:
        return parse_error(error)
    raise AssertionError(f"the call succeeded and returned {replies}")


async def wait_until(condition: Callable[[], object]) -> None:
    """Returns when a condition that this thread can check quickly is true. Raises TimeoutError."""
    async with asyncio.timeout(EVENTUALLY_SECONDS):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


async def eventually(attempt: Callable[[], Awaitable[Reply]]) -> Reply:
    """Repeats a call until it succeeds, and returns its response.

    It serves effects that reach a process through the account feed. Raises TimeoutError.
    """
    async with asyncio.timeout(EVENTUALLY_SECONDS):
        while True:
            try:
                return await attempt()
            except grpc.aio.AioRpcError as error:
                parse_error(error)


async def eventually_error(attempt: Callable[[], Awaitable[object]], reason: str = "") -> RpcFailure:
    """Repeats a call until it fails (with `reason`, if given), and returns the error. Raises TimeoutError."""
    async with asyncio.timeout(EVENTUALLY_SECONDS):
        while True:
            try:
                await attempt()
            except grpc.aio.AioRpcError as error:
                failure = parse_error(error)
                if reason in {"", failure.reason}:
                    return failure


def parse_error(error: grpc.aio.AioRpcError) -> RpcFailure:
    """Parses an error. Raises AssertionError unless it has exactly one ErrorInfo with the domain `meno`."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    assert status is not None, f"an error without a status: {error}"
    found = [info for packed in status.details if packed.Unpack(info := ErrorInfo())]
    assert [info.domain for info in found] == ["meno"], f"an error without exactly one ErrorInfo: {status}"
    return RpcFailure(error.code().name, found[0].reason, dict(found[0].metadata), status)


def bearer(token: str) -> dict[str, Any]:
    """Returns call arguments with an access token: `stub.GetUser(request, **bearer(token))`."""
    return {"metadata": (("authorization", f"Bearer {token}"),)}
