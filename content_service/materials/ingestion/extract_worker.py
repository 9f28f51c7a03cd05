"""The process that extracts the text of one file: `python -m content_service.materials.ingestion.extract_worker`.

It imports only the readers of the formats. Its arguments are the format, the path, and the limits: characters,
pages, seconds of CPU time and bytes of memory. It writes the text of the file, or the reason of a failure, to
standard output as JSON.
"""

import json
import resource
import sys
from dataclasses import asdict
from pathlib import Path

from content_service.materials.ingestion.extraction import extract
from content_service.materials.ingestion.types import TextLimits, UnreadableFile


def main() -> None:
    """Extracts the text of the file in the arguments."""
    file_format, path, *numbers = sys.argv[1:]
    characters, pages, seconds, memory = map(int, numbers)
    _set_rlimits(seconds, memory)
    try:
        reply = json.dumps(asdict(extract(file_format, Path(path), TextLimits(characters, pages))))
    except UnreadableFile as failure:
        reply = json.dumps({"failure": failure.reason})
    except (MemoryError, RecursionError):
        reply = json.dumps({"failure": "TEXT_TOO_LONG"})
    sys.stdout.write(reply)


def _set_rlimits(seconds: int, memory: int) -> None:
    """Limits CPU time and memory of this process, and forbids it to write files."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(limit, (0, 0))


if __name__ == "__main__":
    main()
