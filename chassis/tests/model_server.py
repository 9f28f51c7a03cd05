"""An HTTP server that speaks the wire format of OpenAI's endpoints, and says what a test wants."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

DONE = b"data: [DONE]\n\n"


def said(text: str, finish: str | None = None) -> bytes:
    """One event of the stream."""
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


@dataclass
class ModelServer:
    """What it answers, and what it was asked."""

    url: str = ""
    status: int = 200
    events: Sequence[bytes] = ()
    hang: bool = False
    """Stays silent after the events, with the connection open."""
    cut: bool = False
    """Breaks the connection off after the events, in the middle of the body."""
    location: str = ""
    """Where it sends whoever asks."""
    picky: set[str] = field(default_factory=set)
    """Parameters that it refuses."""
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)

    def answers(self, *pieces: str) -> None:
        """Says these pieces, and ends well."""
        self.events = [*map(said, pieces), said("", "stop"), DONE]

    def embeds(self, *vectors: Sequence[float]) -> None:
        """Answers with these vectors, the last first, for their order is told by their index."""
        data = [{"object": "embedding", "index": i, "embedding": v} for i, v in enumerate(vectors)]
        body = {"object": "list", "model": "m", "data": data[::-1]}
        self.events = [json.dumps(body).encode()]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._converse(reader, writer)
        finally:
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.headers.append(head)
        [length] = [line for line in head.splitlines() if line.lower().startswith("content-length:")]
        self.asked.append(json.loads(await reader.readexactly(int(length.split(":")[1]))))
        refused = sorted(self.picky & self.asked[-1].keys())
        if refused:
            error = {"error": {"message": "Unsupported parameter", "param": refused[0]}}
            self._begin(writer, 400, "application/json")
            self._piece(writer, json.dumps(error).encode())
            writer.write(b"0\r\n\r\n")
            return
        asks_for_stream = self.asked[-1].get("stream") and self.status == 200
        kind = "text/event-stream" if asks_for_stream else "application/json"
        self._begin(writer, self.status, kind)
        for event in self.events:
            self._piece(writer, event)
            await writer.drain()
        if self.hang:
            await reader.read()
        if not self.cut:
            writer.write(b"0\r\n\r\n")

    def _begin(self, writer: asyncio.StreamWriter, status: int, kind: str) -> None:
        location = f"location: {self.location}\r\n" if self.location else ""
        writer.write(
            f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\n{location}"
            "transfer-encoding: chunked\r\nconnection: close\r\n\r\n".encode()
        )

    def _piece(self, writer: asyncio.StreamWriter, piece: bytes) -> None:
        writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")


@asynccontextmanager
async def model_server() -> AsyncIterator[ModelServer]:
    """Runs one on a free port."""
    model = ModelServer()
    server = await asyncio.start_server(model.serve, "127.0.0.1", 0)
    model.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield model
    finally:
        server.close()
        await server.wait_closed()
