"""Rules of materials."""

import re
from pathlib import PurePosixPath

MARKDOWN, PDF, PLAIN, HTML = "text/markdown", "application/pdf", "text/plain", "text/html"
"""The supported formats."""

PENDING, PROCESSING, READY, FAILED = "PENDING", "PROCESSING", "READY", "FAILED"
"""States of processing."""
FINAL_STATUSES = frozenset({READY, FAILED})

MAX_PIECE_BYTES = 2 * 2**20
"""The largest piece of a file in one message of an upload."""

MIN_COUNTED_BYTES = 2**20
"""A smaller file counts as this size towards the quota of its class, because its processing takes time, too."""

MAX_QUOTED_CHARACTERS = 200
"""The part of a client's value that an error message contains."""

_MAX_TITLE_CHARACTERS = 200
_CHARSET = re.compile(r"""; *charset *= *"?([\w.:+-]{1,40})""", re.ASCII | re.IGNORECASE)
_FORMATS = {
    MARKDOWN: MARKDOWN,
    "text/x-markdown": MARKDOWN,
    PDF: PDF,
    "application/x-pdf": PDF,
    PLAIN: PLAIN,
    HTML: HTML,
    "application/xhtml+xml": HTML,
}
_JOINERS = "\u200c\u200d"
_AROUND_NAMES = " " + _JOINERS
# Characters without a glyph that Python takes for printable.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u2800\u3164\uffa0")
_EXTENSIONS = {
    ".md": MARKDOWN,
    ".markdown": MARKDOWN,
    ".pdf": PDF,
    ".txt": PLAIN,
    ".text": PLAIN,
    ".html": HTML,
    ".htm": HTML,
    ".xhtml": HTML,
}
# Types that clients send for any file. The last one is the default of curl.
_GENERIC_TYPES = frozenset(
    {"", PLAIN, "application/octet-stream", "binary/octet-stream", "application/x-www-form-urlencoded"}
)


def file_format(content_type: str, file_name: str) -> str | None:
    """Returns the format of a file by its type, or by its extension if the type is missing or generic.

    Returns None if the format is not supported.
    """
    declared = content_type.partition(";")[0].strip().lower()
    if declared in _GENERIC_TYPES:
        extension = PurePosixPath(file_name).suffix.lower()
        return _EXTENSIONS.get(extension) or _FORMATS.get(declared)
    return _FORMATS.get(declared)


def charset(content_type: str) -> str:
    """Returns the charset parameter of a media type in lower case; "" if there is none."""
    found = _CHARSET.search(content_type)
    return found[1].lower() if found else ""


def clean_file_name(file_name: str) -> str:
    """Returns a file name without directories and without invisible characters, except the joiners of words."""
    last = file_name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return "".join(filter(_is_kept, last)).strip(_AROUND_NAMES)


def material_title(title: str, file_name: str) -> str:
    """Returns the title of a material: the given one, or the file name without its extension."""
    return (title.strip() or PurePosixPath(file_name).stem.strip() or file_name)[:_MAX_TITLE_CHARACTERS]


def _is_kept(character: str) -> bool:
    return (character.isprintable() and character not in _INVISIBLE) or character in _JOINERS


def notification_key(material_id: str) -> str:
    """Returns the notification key for changes of the processing of a material."""
    return f"material {material_id.lower()}"
