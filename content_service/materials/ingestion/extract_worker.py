"""Extracts and splits the text of one file, in a child process of `extraction_server`.

It writes an empty line when it has extracted the text, and then the text and its chunks, or the cause of a failure, as
JSON.
"""

import json
import os
import resource
from pathlib import Path
from typing import Any, BinaryIO

from content_service.materials.ingestion.chunking import split_chunks
from content_service.materials.ingestion.extraction import extract
from content_service.materials.ingestion.types import (
    ChunkLimits,
    ExtractionTask,
    SourceFile,
    TextLimits,
    UnreadableFile,
)
from content_service.materials.rules import HTML, MARKDOWN

# CPU time by the size of a file. Measured: Markdown takes 5 seconds per MiB, a text of one-letter sentences 15. A
# small file that takes longer is made to be slow.
_MIN_SECONDS, _SECONDS_PER_MEBIBYTE = 10, 30


def load_readers() -> None:
    """Loads the readers of all formats, so that forks of this process have them."""
    from content_service.materials.ingestion import html, markdown, pdf  # noqa: F401


def run(task: ExtractionTask, source: int, output: BinaryIO) -> None:
    """Limits this process, and extracts and splits the text of a file, given as a file descriptor."""
    allowed_seconds = _MIN_SECONDS + os.fstat(source).st_size * _SECONDS_PER_MEBIBYTE // 2**20
    _set_rlimits(min(task.seconds, allowed_seconds), task.memory_bytes)
    try:
        # The file has no name, and the readers open paths.
        reply = _process(task, Path(f"/dev/fd/{source}"), output)
    except UnreadableFile as failure:
        reply = {"failure": failure.cause}
    except (MemoryError, RecursionError):
        reply = {"failure": "LIMITS_EXCEEDED"}
    output.write(json.dumps(reply, ensure_ascii=False).encode())


def _process(task: ExtractionTask, path: Path, output: BinaryIO) -> dict[str, Any]:
    limits = TextLimits(task.max_characters, task.max_pages)
    extracted = extract(SourceFile(path, task.file_format, task.charset), limits)
    output.write(b"\n")
    output.flush()
    chunks = split_chunks(
        extracted,
        ChunkLimits(task.tokens, task.overlap_tokens),
        markdown=task.file_format in {MARKDOWN, HTML},
    )
    return {
        "page_count": len(extracted.page_starts),
        "text": extracted.text,
        "chunks": [
            (chunk.page, chunk.section, chunk.char_start, chunk.char_end, chunk.places) for chunk in chunks
        ],
    }


def _set_rlimits(seconds: int, memory: int) -> None:
    """Limits CPU time and memory of this process, and forbids it to write files."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(limit, (0, 0))
