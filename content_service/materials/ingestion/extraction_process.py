"""Gets the text out of a file without letting the file get at the service.

PDF and HTML are read in a child process with a limit on time and memory and with nothing of
the service's environment; plain text and Markdown, whose reading is linear, in a thread.
"""

import asyncio
import json
import os
import signal
import sys
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from content_service.materials.ingestion.extraction import Extracted, extract
from content_service.materials.ingestion.rules import Limits, Unreadable
from content_service.materials.rules import HTML, PDF

_CHILD = "content_service.materials.ingestion.extract_worker"
# Of JSON a character; escapes of the basic plane take six bytes, of the others twelve.
_BYTES_A_CHARACTER = 12
_OUT_OF_TIME = -signal.SIGXCPU


@dataclass(frozen=True)
class Bounds:
    """What reading one file may cost."""

    limits: Limits
    seconds: int
    memory_bytes: int


class Reader:
    """Reads files."""

    def __init__(self, bounds: Bounds, pool: Executor) -> None:
        self._bounds = bounds
        self._pool = pool

    async def read(self, file_format: str, path: Path) -> Extracted:
        """The text of a file. Raises Unreadable, or RuntimeError where the reader was killed from outside."""
        if file_format in {PDF, HTML}:
            return await self._read_apart(file_format, path)
        work = partial(extract, file_format, path, self._bounds.limits)
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def _read_apart(self, file_format: str, path: Path) -> Extracted:
        bounds, limits = self._bounds, self._bounds.limits
        numbers = (limits.max_characters, limits.max_pages, bounds.seconds, bounds.memory_bytes)
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", _CHILD, file_format, str(path), *map(str, numbers)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"},
        )
        assert child.stdout is not None
        try:
            async with asyncio.timeout(self._bounds.seconds):
                output = await _read_at_most(child.stdout, limits.max_characters * _BYTES_A_CHARACTER)
                status = await child.wait()
        except TimeoutError:
            status, output = _OUT_OF_TIME, b""
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        return _result(status, output)


def _result(status: int, output: bytes) -> Extracted:
    if status == _OUT_OF_TIME:
        raise Unreadable("TEXT_TOO_LONG")
    if status != 0:
        raise RuntimeError(f"the reader ended with status {status}")
    reply = json.loads(output)
    if "failure" in reply:
        raise Unreadable(reply["failure"])
    headings = [(offset, level, words) for offset, level, words in reply["headings"]]
    return Extracted(reply["text"], reply["page_starts"], headings)


async def _read_at_most(stream: asyncio.StreamReader, limit: int) -> bytes:
    """All that the child says. Raises Unreadable when it says too much."""
    pieces, length = [], 0
    while piece := await stream.read(2**16):
        pieces.append(piece)
        length += len(piece)
        if length > limit:
            raise Unreadable("TEXT_TOO_LONG")
    return b"".join(pieces)
