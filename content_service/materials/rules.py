"""Rules of materials."""

from pathlib import PurePosixPath

MARKDOWN, PDF, PLAIN, HTML = "text/markdown", "application/pdf", "text/plain", "text/html"
"""The formats that are read."""

PENDING, PROCESSING, READY, FAILED = "PENDING", "PROCESSING", "READY", "FAILED"
"""States of processing; the last two are outcomes."""
OUTCOMES = frozenset({READY, FAILED})

MAX_PIECE_BYTES = 2 * 2**20
"""Of one message of an upload."""

MAX_SHOWN = 200
"""Characters of what a refusal quotes."""

_MAX_TITLE = 200
_FORMATS = {
    MARKDOWN: MARKDOWN,
    "text/x-markdown": MARKDOWN,
    PDF: PDF,
    "application/x-pdf": PDF,
    PLAIN: PLAIN,
    HTML: HTML,
    "application/xhtml+xml": HTML,
}
_ENDINGS = {
    ".md": MARKDOWN,
    ".markdown": MARKDOWN,
    ".pdf": PDF,
    ".txt": PLAIN,
    ".text": PLAIN,
    ".html": HTML,
    ".htm": HTML,
    ".xhtml": HTML,
}
# Types that senders put on any file; the last is what curl calls everything.
_GENERAL = frozenset(
    {"", PLAIN, "application/octet-stream", "binary/octet-stream", "application/x-www-form-urlencoded"}
)


def file_format(content_type: str, file_name: str) -> str | None:
    """The format of a file: by its type, or by its ending where that is missing or general."""
    declared = content_type.partition(";")[0].strip().lower()
    if declared in _GENERAL:
        ending = PurePosixPath(file_name).suffix.lower()
        return _ENDINGS.get(ending) or _FORMATS.get(declared)
    return _FORMATS.get(declared)


def bare_name(file_name: str) -> str:
    """A file's name without folders and without what cannot be printed."""
    last = file_name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return "".join(character for character in last if character.isprintable()).strip()


def title(given: str, name: str) -> str:
    """The title of a material: as given, else its file's name without the ending."""
    return (given.strip() or PurePosixPath(name).stem.strip() or name)[:_MAX_TITLE]
