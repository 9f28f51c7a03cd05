"""Extracts and splits the text of uploaded files, and isolates the service from them.

A child process reads files of every format. It has limits on time and memory, and no environment of the service.
The reason is that the time of parsers can grow with the square of the length of a file.

The children are forks of one process (`extraction_server`): with a new Python process for each file, three quarters of
the CPU time of a short document were the start, the imports and the tokenizer.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable

from content_service.materials.ingestion.types import (
    LENGTH_BYTES,
    ChunkDraft,
    ChunkedText,
    ChunkLimits,
    ExtractionLimits,
    ExtractionTask,
    UnreadableFile,
)

_SERVER_MODULE = "content_service.materials.ingestion.extraction_server"
# UTF-8 takes at most four bytes for a character. The other bytes are for the properties of chunks.
_MAX_BYTES_PER_CHARACTER = 12
_MIN_OUTPUT_BYTES = 2**16
# On a busy machine the process waits for a processor, so that the time on the clock says little about a file.
_MAX_WAIT_FACTOR = 10
# The status of a process whose server was killed, too.
_UNKNOWN = -signal.SIGKILL
# The process exceeded its CPU time, or a library could not allocate memory.
_LIMITS_EXCEEDED = frozenset({-signal.SIGXCPU, -signal.SIGABRT, -signal.SIGSEGV})


class ExtractionProcess:
    """Extracts and splits the text of files."""

    def __init__(self, limits: ExtractionLimits) -> None:
        self._limits = limits
        self._server: _Server | None = None

    def close(self) -> None:
        """Ends the processes, also those that still read a file."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def extract_chunks(
        self,
        source: int,
        file_format: str,
        charset: str,
        chunk_limits: ChunkLimits,
        on_extracted: Callable[[], Awaitable[None]],
    ) -> ChunkedText:
        """Returns the chunks of a file. Calls `on_extracted` when its text has been extracted.

        `source` is a descriptor of the file at its start. `charset` is the one that the upload declared, or empty.

        Raises UnreadableFile, or RuntimeError if the child process was killed or stopped from outside.
        """
        limits = self._limits
        task = ExtractionTask(
            file_format=file_format,
            charset=charset,
            max_characters=limits.text.max_characters,
            max_pages=limits.text.max_pages,
            tokens=chunk_limits.tokens,
            overlap_tokens=chunk_limits.overlap_tokens,
            seconds=limits.seconds,
            memory_bytes=limits.memory_bytes,
        )
        max_bytes = max(_MIN_OUTPUT_BYTES, limits.text.max_characters * _MAX_BYTES_PER_CHARACTER)
        reader, writer = await asyncio.open_unix_connection(sock=self._start_child(task, source))
        try:
            # The process sends an empty line when it has extracted the text. A failure has none before it.
            async with asyncio.timeout(_MAX_WAIT_FACTOR * limits.seconds):
                output = await reader.read(1)
                if output == b"\n":
                    await on_extracted()
                output += await _read_at_most(reader, max_bytes)
        except TimeoutError as error:
            # A file that takes long exceeds its CPU time first. A server that is stopped would stop every file.
            self.close()
            raise RuntimeError("the extraction process does not continue") from error
        finally:
            # The server kills a child whose socket is closed.
            writer.close()
        return _parse(output)

    def _start_child(self, task: ExtractionTask, source: int) -> socket.socket:
        """Starts a child process, and the server if it does not run; returns the socket of the result."""
        result, of_child = socket.socketpair()
        with of_child:
            try:
                self._running_server().start_child(task, source, of_child)
            except ConnectionError:
                # The server was killed.
                self.close()
                self._running_server().start_child(task, source, of_child)
        return result

    def _running_server(self) -> "_Server":
        if self._server is None:
            self._server = _Server()
        return self._server


class _Server:
    """The process of which each child is a fork."""

    def __init__(self) -> None:
        self._requests, of_server = socket.socketpair()
        with of_server:
            self._process = subprocess.Popen(
                (sys.executable, "-m", _SERVER_MODULE),
                stdin=of_server.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"},
                process_group=0,
            )

    def start_child(self, task: ExtractionTask, source: int, result: socket.socket) -> None:
        """Starts a child process that reads `source` and writes to `result`.

        Raises ConnectionError if the server has ended.
        """
        body = json.dumps(task).encode()
        request = len(body).to_bytes(LENGTH_BYTES) + body
        socket.send_fds(self._requests, [request], [result.fileno(), source])

    def close(self) -> None:
        """Kills the server and its children, also if they are stopped or the server was killed."""
        self._requests.close()
        # macOS refuses it for a group of processes that have ended.
        with contextlib.suppress(PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _parse(output: bytes) -> ChunkedText:
    output, _, ending = output.rpartition(b"\n")
    # The last line is missing if the server was killed.
    status = int(ending) if ending.removeprefix(b"-").isdigit() else _UNKNOWN
    if status in _LIMITS_EXCEEDED:
        raise UnreadableFile("LIMITS_EXCEEDED")
    if status != 0:
        raise RuntimeError(f"the extraction process ended with status {status}")
    reply = json.loads(output)
    if "failure" in reply:
        raise UnreadableFile(reply["failure"])
    text = reply["text"]
    return ChunkedText(
        reply["page_count"],
        [
            ChunkDraft(page, section, start, end, text[start:end], places)
            for page, section, start, end, places in reply["chunks"]
        ],
    )


async def _read_at_most(stream: asyncio.StreamReader, limit: int) -> bytes:
    """Returns the output of the child process. Raises UnreadableFile if it exceeds the limit."""
    pieces, length = [], 0
    while piece := await stream.read(2**16):
        pieces.append(piece)
        length += len(piece)
        if length > limit:
            raise UnreadableFile("TEXT_TOO_LONG")
    return b"".join(pieces)
