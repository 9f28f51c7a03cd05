"""A client that repeats calls, as the contracts allow for reads and for writes with a request_id."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc

from tests.local_stack import GUARD_SECONDS

_INTERVAL_SECONDS = 0.05
# A call that is in flight when a process is killed, or sent before the process is back, is UNAVAILABLE. Its
# response may also be lost without a status until the deadline of the call.
_REPEATED = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}

Response = TypeVar("Response")


async def repeat(call: Callable[[], Awaitable[Response]]) -> Response:
    """Returns the response of a call that is safe to repeat.

    Raises AioRpcError for every other status than UNAVAILABLE and DEADLINE_EXCEEDED, and TimeoutError if the
    system does not come back.
    """
    async with asyncio.timeout(GUARD_SECONDS):
        while True:
            try:
                return await call()
            except grpc.aio.AioRpcError as error:
                if error.code() not in _REPEATED:
                    raise
            await asyncio.sleep(_INTERVAL_SECONDS)
