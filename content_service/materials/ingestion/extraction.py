"""Extracts the text of a file."""

import re

from content_service.knowledge.text import CONTROL_CHARACTERS, normalize
from content_service.materials.ingestion.encoding import decode
from content_service.materials.ingestion.types import ExtractedText, SourceFile, TextLimits, UnreadableFile
from content_service.materials.rules import HTML, MARKDOWN, PDF

# A hyphen at the end of a line, after a letter and before one. `_join_line` decides.
_HYPHENATED = re.compile(r"(?<=[^\W\d_])[-\u00ad\u2010]\n(?=([^\W\d_]))")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
# No text matches in two ways, so that matching takes linear time (no catastrophic backtracking).
_HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+([^ \t].*)$")
_MARKUP = re.compile(r"[*_`]+|!?\[([^\[\]]*)\]\([^()]*\)")

_MAX_NOISE_RATIO = 0.05
"""A file with more control or replacement characters is binary."""
_MAX_HEADING_CHARACTERS = 120


def extract(file: SourceFile, limits: TextLimits) -> ExtractedText:
    """Returns the text of a file. Raises UnreadableFile."""
    if file.file_format == PDF:
        from content_service.materials.ingestion.pdf import read_pages

        extracted = join_pages(read_pages(file.path, limits))
    elif file.file_format == HTML:
        from content_service.materials.ingestion.html import to_markdown

        extracted = _find_headings(normalize(to_markdown(_decode(file, limits))))
    elif file.file_format == MARKDOWN:
        from content_service.materials.ingestion.markdown import read_markdown

        extracted = read_markdown(normalize(_decode(file, limits)))
    else:
        extracted = ExtractedText(normalize(_decode(file, limits)))
    if not any(character.isalnum() for character in extracted.text):
        raise UnreadableFile("NO_TEXT")
    if len(extracted.text) > limits.max_characters:
        raise UnreadableFile("TEXT_TOO_LONG")
    return extracted


def join_pages(pages: list[str]) -> ExtractedText:
    """Returns the text of pages. Words that are divided at the end of a line are joined."""
    starts, parts, length = [], [], 0
    for page in pages:
        text = normalize(_HYPHENATED.sub(_join_line, page))
        starts.append(length)
        parts.append(text)
        length += len(text) + 2
    return ExtractedText("\n\n".join(parts), starts)


def _join_line(hyphen: re.Match[str]) -> str:
    """Returns nothing for a hyphen in a word. Names keep theirs: `Baden-` before `Württemberg`."""
    return hyphen[0] if hyphen[1].isupper() else ""


def _decode(file: SourceFile, limits: TextLimits) -> str:
    """Returns the content of a text file. Raises UnreadableFile if it is too long or not text."""
    if file.path.stat().st_size > 4 * limits.max_characters:
        raise UnreadableFile("TEXT_TOO_LONG")
    raw = file.path.read_bytes()
    # Readers of PDF files accept the mark in the first 1,024 bytes.
    if b"%PDF-" in raw[:1024]:
        raise UnreadableFile("NOT_TEXT")
    text = decode(raw, file.charset, html=file.file_format == HTML)
    noise = len(CONTROL_CHARACTERS.findall(text.replace("\r", "").replace("\f", ""))) + text.count("\ufffd")
    if noise > _MAX_NOISE_RATIO * len(text):
        raise UnreadableFile("FILE_CORRUPT")
    return text


def _find_headings(text: str) -> ExtractedText:
    """Returns Markdown with its headings. Lines in code blocks are not headings."""
    headings, offset, fence = [], 0, ""
    for line in text.split("\n"):
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1].startswith(fence) and not line.strip().strip(fence[0]):
            fence = ""
        elif not fence and (found := _HEADING.match(line)):
            headings.append((offset, len(found[1]), _heading_text(found[2])))
        offset += len(line) + 1
    return ExtractedText(text, headings=headings)


def _heading_text(heading: str) -> str:
    """Returns the text of a heading without its closing marks and its markup."""
    text = heading.rstrip(" \t")
    bare = text.rstrip("#")
    if not bare or bare[-1] in " \t":
        text = bare
    return _MARKUP.sub(lambda markup: markup[1] or "", text).strip()[:_MAX_HEADING_CHARACTERS]
