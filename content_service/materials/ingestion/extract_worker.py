"""The process that extracts and splits the text of one file.

It is started with `python -m content_service.materials.ingestion.extract_worker`, and its argument is an
ExtractionTask as JSON. It imports only the readers of the formats and the splitter. It writes an empty line to
standard output when it has extracted the text, and then the text and its chunks, or the cause of a failure, as JSON.
"""

import json
import resource
import sys
from pathlib import Path
from typing import Any

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


def main() -> None:
    """Extracts and splits the text of the file in the arguments."""
    task = ExtractionTask(*json.loads(sys.argv[1]))
    allowed_seconds = _MIN_SECONDS + Path(task.path).stat().st_size * _SECONDS_PER_MEBIBYTE // 2**20
    _set_rlimits(min(task.seconds, allowed_seconds), task.memory_bytes)
    try:
        reply = _process(task)
    except UnreadableFile as failure:
        reply = {"failure": failure.cause}
    except (MemoryError, RecursionError):
        reply = {"failure": "LIMITS_EXCEEDED"}
    sys.stdout.buffer.write(json.dumps(reply, ensure_ascii=False).encode())


def _process(task: ExtractionTask) -> dict[str, Any]:
    limits = TextLimits(task.max_characters, task.max_pages)
    extracted = extract(SourceFile(Path(task.path), task.file_format, task.charset), limits)
    sys.stdout.write("\n")
    sys.stdout.flush()
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


if __name__ == "__main__":
    main()
