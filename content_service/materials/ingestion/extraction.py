"""The text of a file, as passages are cut from it."""

import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from content_service.materials.ingestion.rules import Limits, Unreadable
from content_service.materials.rules import HTML, MARKDOWN, PDF

# Characters that show nothing: zero-width ones, marks of direction, soft hyphens, tags. They
# hide words from a reader that a model would see.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
)
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*){2,}")
_HYPHENATED = re.compile(r"(?<=[a-z])-\n(?=[a-z])")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
# Nothing here matches one text in two ways, so that no line takes long.
_HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+([^ \t].*)$")
_MARKUP = re.compile(r"[*_`]+|!?\[([^\[\]]*)\]\([^()]*\)")

_NOISE = 0.05
_MAX_HEADING = 120


@dataclass
class Extracted:
    """The text of a file."""

    text: str
    page_starts: list[int] = field(default_factory=list)
    """Where each page begins, in characters; empty where the format has no pages."""
    headings: list[tuple[int, int, str]] = field(default_factory=list)
    """Where each heading stands, its level from 1, and its words."""


def extract(file_format: str, path: Path, limits: Limits) -> Extracted:
    """The text of a file of this format. Raises Unreadable."""
    if file_format == PDF:
        from content_service.materials.ingestion.pdf import pages

        extracted = _joined(pages(path, limits))
    elif file_format == HTML:
        from content_service.materials.ingestion.html import markdown_of

        extracted = _with_headings(normalised(markdown_of(_decoded(path, limits))))
    elif file_format == MARKDOWN:
        extracted = _with_headings(normalised(_decoded(path, limits)))
    else:
        extracted = Extracted(normalised(_decoded(path, limits)))
    if not any(character.isalnum() for character in extracted.text):
        raise Unreadable("NO_TEXT")
    if len(extracted.text) > limits.max_characters:
        raise Unreadable("TEXT_TOO_LONG")
    return extracted


def normalised(text: str) -> str:
    """Text in one form (NFKC), without what nobody can see, with at most one blank line in a row."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n")
    # Before they are composed, for what is dropped may stand between a letter and its accent.
    text = _CONTROL.sub("", _INVISIBLE.sub("", text))
    return _BLANK_LINES.sub("\n\n", unicodedata.normalize("NFKC", text)).strip("\n")


def _joined(pages: list[str]) -> Extracted:
    starts, parts, length = [], [], 0
    for page in pages:
        text = normalised(_HYPHENATED.sub("", page))
        starts.append(length)
        parts.append(text)
        length += len(text) + 2
    return Extracted("\n\n".join(parts), starts)


def _decoded(path: Path, limits: Limits) -> str:
    """A text file's characters. Raises Unreadable for one that is too long, or no text."""
    if path.stat().st_size > 4 * limits.max_characters:
        raise Unreadable("TEXT_TOO_LONG")
    raw = path.read_bytes()
    wide = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = raw.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("cp1252", errors="replace")
    noise = len(_CONTROL.findall(text.replace("\r", "").replace("\f", ""))) + text.count("\ufffd")
    if noise > _NOISE * len(text):
        raise Unreadable("FILE_CORRUPT")
    return text


def _with_headings(text: str) -> Extracted:
    """Markdown with its headings found; what looks like one inside a code block is none."""
    headings, offset, fence = [], 0, ""
    for line in text.split("\n"):
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1].startswith(fence) and not line.strip().strip(fence[0]):
            fence = ""
        elif not fence and (found := _HEADING.match(line)):
            headings.append((offset, len(found[1]), _words(found[2])))
        offset += len(line) + 1
    return Extracted(text, headings=headings)


def _words(heading: str) -> str:
    """What a heading says, without its closing marks and its markup."""
    words = heading.rstrip(" \t")
    bare = words.rstrip("#")
    if not bare or bare[-1] in " \t":
        words = bare
    return _MARKUP.sub(lambda markup: markup[1] or "", words).strip()[:_MAX_HEADING]
