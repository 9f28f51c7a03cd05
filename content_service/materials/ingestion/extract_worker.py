"""The process that reads one file within bounds: `python -m content_service.materials.ingestion.extract_worker`.

It imports nothing but the readers. Its arguments are the format, the path, and the most of
characters, pages, seconds and bytes of memory; it answers with the file's text, or with why
there is none, as JSON.
"""

import json
import resource
import sys
from dataclasses import asdict
from pathlib import Path

from content_service.materials.ingestion.extraction import extract
from content_service.materials.ingestion.rules import Limits, Unreadable


def main() -> None:
    """Reads the file that the arguments name."""
    file_format, path, *numbers = sys.argv[1:]
    characters, pages, seconds, memory = map(int, numbers)
    _confine(seconds, memory)
    try:
        reply = json.dumps(asdict(extract(file_format, Path(path), Limits(characters, pages))))
    except Unreadable as failure:
        reply = json.dumps({"failure": failure.reason})
    except (MemoryError, RecursionError):
        reply = json.dumps({"failure": "TEXT_TOO_LONG"})
    sys.stdout.write(reply)


def _confine(seconds: int, memory: int) -> None:
    """From here on this process is stopped when it takes too much; it writes no file at all."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    for nothing in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(nothing, (0, 0))


if __name__ == "__main__":
    main()
