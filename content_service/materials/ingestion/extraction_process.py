"""Extracts and splits the text of uploaded files, and isolates the service from them.

A child process reads files of every format. It has limits on time and memory, and no environment of the service.
The reason is that the time of parsers can grow with the square of the length of a file.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable

from content_service.materials.ingestion.types import (
    ChunkDraft,
    ChunkedText,
    ChunkLimits,
    ExtractionLimits,
    ExtractionTask,
    SourceFile,
    UnreadableFile,
)

_WORKER_MODULE = "content_service.materials.ingestion.extract_worker"
# UTF-8 takes at most four bytes for a character. The other bytes are for the properties of chunks.
_MAX_BYTES_PER_CHARACTER = 12
_MIN_OUTPUT_BYTES = 2**16
# On a busy machine the process waits for a processor, so that the time on the clock says little about a file.
_MAX_WAIT_FACTOR = 10
# The process exceeded its CPU time, or a library could not allocate memory.
_LIMITS_EXCEEDED = frozenset({-signal.SIGXCPU, -signal.SIGABRT, -signal.SIGSEGV})


class ExtractionProcess:
    """Extracts and splits the text of files."""

    def __init__(self, limits: ExtractionLimits) -> None:
        self._limits = limits

    async def extract_chunks(
        self, file: SourceFile, chunk_limits: ChunkLimits, on_extracted: Callable[[], Awaitable[None]]
    ) -> ChunkedText:
        """Returns the chunks of a file. Calls `on_extracted` when its text has been extracted.

        Raises UnreadableFile, or RuntimeError if the child process was killed from outside.
        """
        limits = self._limits
        task = ExtractionTask(
            path=str(file.path),
            file_format=file.file_format,
            charset=file.charset,
            max_characters=limits.text.max_characters,
            max_pages=limits.text.max_pages,
            tokens=chunk_limits.tokens,
            overlap_tokens=chunk_limits.overlap_tokens,
            seconds=limits.seconds,
            memory_bytes=limits.memory_bytes,
        )
        max_bytes = max(_MIN_OUTPUT_BYTES, limits.text.max_characters * _MAX_BYTES_PER_CHARACTER)
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", _WORKER_MODULE, json.dumps(task)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"},
        )
        assert child.stdout is not None
        try:
            # The process sends an empty line when it has extracted the text. A failure has none before it.
            async with asyncio.timeout(_MAX_WAIT_FACTOR * limits.seconds):
                output = await child.stdout.read(1)
                if output == b"\n":
                    await on_extracted()
                output += await _read_at_most(child.stdout, max_bytes)
                status = await child.wait()
        except TimeoutError as error:
            raise UnreadableFile("LIMITS_EXCEEDED") from error
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        return _parse(status, output)


def _parse(status: int, output: bytes) -> ChunkedText:
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
