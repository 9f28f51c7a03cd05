"""An HTTP server with the wire format of OpenAI's API, whose responses the test defines."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

DONE = b"data: [DONE]\n\n"


def text_event(text: str, finish: str | None = None) -> bytes:
    """Returns a server-sent event with a piece of text."""
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


@dataclass
class ModelServer:
    """A running server: its responses, and the requests that it received."""

    url: str = ""
    status: int = 200
    events: Sequence[bytes] = ()
    """The parts of the response body."""
    hang: bool = False
    """Sends nothing after the events, and keeps the connection open."""
    cut: bool = False
    """Closes the connection after the events, before the body is complete."""
    location: str = ""
    """The target of a redirect."""
    encoding: str = ""
    """The content encoding that the response declares."""
    rejected_parameters: set[str] = field(default_factory=set)
    """Request parameters that are answered with status 400."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    """The bodies of the requests."""
    headers: list[str] = field(default_factory=list)
    """The headers of the requests, as text."""

    def respond(self, *pieces: str) -> None:
        """Sets a complete response with these pieces of text."""
        self.events = [*map(text_event, pieces), text_event("", "stop"), DONE]

    def respond_with_vectors(self, *vectors: Sequence[float]) -> None:
        """Sets a response with these vectors. The last is first, because clients must use the index."""
        data = [{"object": "embedding", "index": i, "embedding": v} for i, v in enumerate(vectors)]
        body = {"object": "list", "model": "m", "data": data[::-1]}
        self.events = [json.dumps(body).encode()]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one request, and closes the connection."""
        try:
            await self._respond(reader, writer)
        finally:
            writer.close()

    async def _respond(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.headers.append(head)
        [length] = [line for line in head.splitlines() if line.lower().startswith("content-length:")]
        self.requests.append(json.loads(await reader.readexactly(int(length.split(":")[1]))))
        rejected = sorted(self.rejected_parameters & self.requests[-1].keys())
        if rejected:
            error = {"error": {"message": "Unsupported parameter", "param": rejected[0]}}
            self._write_head(writer, 400, "application/json")
            self._write_chunk(writer, json.dumps(error).encode())
            writer.write(b"0\r\n\r\n")
            return
        is_stream = self.requests[-1].get("stream") and self.status == 200
        kind = "text/event-stream" if is_stream else "application/json"
        self._write_head(writer, self.status, kind)
        for event in self.events:
            self._write_chunk(writer, event)
            await writer.drain()
        if self.hang:
            await reader.read()
        if not self.cut:
            writer.write(b"0\r\n\r\n")

    def _write_head(self, writer: asyncio.StreamWriter, status: int, kind: str) -> None:
        location = f"location: {self.location}\r\n" if self.location else ""
        encoding = f"content-encoding: {self.encoding}\r\n" if self.encoding else ""
        writer.write(
            f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\n{location}{encoding}"
            "transfer-encoding: chunked\r\nconnection: close\r\n\r\n".encode()
        )

    def _write_chunk(self, writer: asyncio.StreamWriter, chunk: bytes) -> None:
        writer.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")


@asynccontextmanager
async def model_server() -> AsyncIterator[ModelServer]:
    """Runs a model server on a free port."""
    model = ModelServer()
    server = await asyncio.start_server(model.serve, "127.0.0.1", 0)
    model.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield model
    finally:
        server.close()
        await server.wait_closed()
