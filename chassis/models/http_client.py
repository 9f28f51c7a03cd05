"""An HTTP client for model endpoints, whose responses are bounded: an endpoint may be faulty or hostile.

Importing this module imports the HTTP client. Import it only where a request is sent.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai

from chassis.safe_http import PublicAddressTransport

_END_OF_EVENT = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_MAX_END_BYTES = 4


class ResponseTooLarge(Exception):
    """A response, or an event of its stream, exceeds its limit, or the response is compressed."""


class _BoundedStream(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, max_bytes: int, max_event_bytes: int) -> None:
        self._stream = stream
        self._max_bytes = max_bytes
        self._max_event_bytes = max_event_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        total = event_bytes = 0
        end = b""
        async for data in self._stream:
            total += len(data)
            start = 0
            # The end of an event may be split between two pieces of data.
            joined, offset = end + data, len(end)
            for match in _END_OF_EVENT.finditer(joined):
                self._check(event_bytes + max(match.start() - offset - start, 0), total)
                event_bytes, start = 0, max(match.end() - offset, 0)
            event_bytes += len(data) - start
            self._check(event_bytes, total)
            end = joined[-(_MAX_END_BYTES - 1) :]
            yield data
            # Data that has already arrived is read without waiting, so other calls would have to wait.
            await asyncio.sleep(0)

    def _check(self, event_bytes: int, total: int) -> None:
        if event_bytes > self._max_event_bytes or total > self._max_bytes:
            raise ResponseTooLarge

    async def aclose(self) -> None:
        await self._stream.aclose()


def create_http_client(
    *, max_bytes: int, max_event_bytes: int | None = None, private_hosts: frozenset[str] | None = None
) -> httpx2.AsyncClient:
    """Creates a client whose responses have at most `max_bytes`.

    An event of a stream has at most `max_event_bytes`, which also limits its lines. If `private_hosts` is given,
    the client connects only to public addresses and to these hosts, and follows no redirects. Larger responses
    raise ResponseTooLarge, before or while they are read. The HTTP library limits headers to 100 KiB.
    """

    async def limit(response: httpx2.Response) -> None:
        # A small compressed response can become arbitrarily large, and none was requested.
        if response.headers.get("content-encoding", "identity") != "identity":
            raise ResponseTooLarge
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _BoundedStream(response.stream, max_bytes, max_event_bytes or max_bytes)

    options: dict[str, Any] = {
        "headers": {"accept-encoding": "identity"},
        "event_hooks": {"response": [limit]},
    }
    if private_hosts is None:
        return openai.DefaultAsyncHttpxClient(**options)
    transport = PublicAddressTransport(private_hosts)
    return httpx2.AsyncClient(transport=transport, follow_redirects=False, trust_env=False, **options)
