"""A provider of models, as far as it lists them: an HTTP server that says what a test wants."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Provider:
    """What it answers, and what it was asked."""

    host: str = ""
    """With its port."""
    status: int = 200
    body: bytes = b""
    headers: str = ""
    raw: bytes | None = None
    """All that it says, where that is no HTTP."""
    hang: bool = False
    """Says nothing more after that."""
    asked: list[str] = field(default_factory=list)
    """The heads of the questions, in lower case."""

    def lists(self, answer: Any) -> None:
        """Answers with JSON."""
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
    """Runs one on a free port."""
    running = Provider()
    server = await asyncio.start_server(running.serve, "127.0.0.1", 0, ssl=tls)
    running.host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield running
    finally:
        server.close()
        await server.wait_closed()
