"""Extracts the text of uploaded files and isolates the service from them.

Files of every format are read in a child process with limits on time and memory and without the environment of
the service.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from content_service.materials.ingestion.types import ExtractedText, ExtractionLimits, UnreadableFile

_WORKER_MODULE = "content_service.materials.ingestion.extract_worker"
# JSON escapes take six bytes for a character of the Basic Multilingual Plane, twelve for others.
_MAX_BYTES_PER_CHARACTER = 12
_CPU_TIME_EXCEEDED = -signal.SIGXCPU


class ExtractionProcess:
    """Extracts the text of files."""

    def __init__(self, limits: ExtractionLimits) -> None:
        self._limits = limits

    async def extract(self, file_format: str, path: Path) -> ExtractedText:
        """Returns the text of a file.

        Raises UnreadableFile, or RuntimeError if the child process was killed from outside.
        """
        limits, text_limits = self._limits, self._limits.text
        numbers = (text_limits.max_characters, text_limits.max_pages, limits.seconds, limits.memory_bytes)
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", _WORKER_MODULE, file_format, str(path), *map(str, numbers)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"},
        )
        assert child.stdout is not None
        try:
            async with asyncio.timeout(limits.seconds):
                max_bytes = text_limits.max_characters * _MAX_BYTES_PER_CHARACTER
                output = await _read_at_most(child.stdout, max_bytes)
                status = await child.wait()
        except TimeoutError:
            status, output = _CPU_TIME_EXCEEDED, b""
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        return _parse(status, output)


def _parse(status: int, output: bytes) -> ExtractedText:
    if status == _CPU_TIME_EXCEEDED:
        raise UnreadableFile("TEXT_TOO_LONG")
    if status != 0:
        raise RuntimeError(f"the extraction process ended with status {status}")
    reply = json.loads(output)
    if "failure" in reply:
        raise UnreadableFile(reply["failure"])
    headings = [(offset, level, title) for offset, level, title in reply["headings"]]
    return ExtractedText(reply["text"], reply["page_starts"], headings)


async def _read_at_most(stream: asyncio.StreamReader, limit: int) -> bytes:
    """Returns the output of the child process. Raises UnreadableFile if it exceeds the limit."""
    pieces, length = [], 0
    while piece := await stream.read(2**16):
        pieces.append(piece)
        length += len(piece)
        if length > limit:
            raise UnreadableFile("TEXT_TOO_LONG")
    return b"".join(pieces)
