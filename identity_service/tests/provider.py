"""A local HTTP server that lists models, and whose responses a test controls."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Provider:
    """A provider of models that records the requests to it."""

    host: str = ""
    """The host with the port."""
    status: int = 200
    body: bytes = b""
    headers: str = ""
    raw: bytes | None = None
    """The raw response, if it is not valid HTTP."""
    hang: bool = False
    """Whether the connection stays open after the response."""
    asked: list[str] = field(default_factory=list)
    """The request lines and headers, in lower case."""

    def lists(self, answer: Any) -> None:
        """Sets the response to a JSON document."""
        self.body = json.dumps(answer).encode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self.raw is None:
                self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode().lower())
            else:
                await reader.read(1)
            head = f"HTTP/1.1 {self.status} X\r\n{self.headers}content-length: {len(self.body)}\r\n\r\n"
            writer.write(head.encode() + self.body if self.raw is None else self.raw)
            await writer.drain()
            if self.hang:
                await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def provider(tls: ssl.SSLContext | None = None) -> AsyncIterator[Provider]:
    """Runs a provider on a free port."""
    running = Provider()
    server = await asyncio.start_server(running.serve, "127.0.0.1", 0, ssl=tls)
    running.host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield running
    finally:
        server.close()
        await server.wait_closed()
