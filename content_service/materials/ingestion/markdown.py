"""Reads Markdown: its headings, and its text without the parts that no reader sees.

A parser of CommonMark finds the blocks. Text that stays is unchanged, so that formulas and code are quoted as written.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from content_service.knowledge.text import normalize
from content_service.materials.ingestion.html import HtmlText
from content_service.materials.ingestion.types import ExtractedText

# No text matches in two ways, so that matching takes linear time (no catastrophic backtracking).
_MARKUP = re.compile(r"[*_`]+|!?\[([^\[\]]*)\]\([^()]*\)")
_MAX_HEADING_CHARACTERS = 120
_DATA_URI = re.compile(r"(?<=\()<?data:[^\s)>]+>?")
# Base64, hashes and keys. The longest words and paths of people are shorter.
_MIN_BINARY_CHARACTERS, _KEPT_CHARACTERS = 257, 32
_BINARY = re.compile(rf"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{{{_MIN_BINARY_CHARACTERS},}}")
_FRONT_MATTER_KEY = re.compile(r"[\w-]{1,80}:(?: |$)")
_BACKTICKS = re.compile("`+")
# Escapes, code spans, comments and tags. Quoted attributes may contain angle brackets.
_INLINE_MARK = re.compile(
    r"""\\.|`+|<!--|</?[A-Za-z][\w-]*(?:\s[^<>"']*(?:"[^"]*"[^<>"']*|'[^']*'[^<>"']*)*)?>""", re.DOTALL
)


def read_markdown(text: str) -> ExtractedText:
    """Returns the visible text of a normalised Markdown file, and its headings.

    Front matter, comments, link definitions, hidden HTML and data URIs are left out.
    """
    reader = _Reader(_without_front_matter(_BINARY.sub(lambda run: f"{run[0][:_KEPT_CHARACTERS]}…", text)))
    return reader.read()


def _without_front_matter(text: str) -> str:
    """Returns the text after the YAML between two lines of dashes at its start."""
    first, *lines = text.split("\n")
    if first.rstrip() != "---":
        return text
    has_key = False
    length = len(first) + 1
    for line in lines:
        length += len(line) + 1
        if line.rstrip() in {"---", "..."}:
            return text[length:].lstrip("\n") if has_key else text
        has_key = has_key or bool(_FRONT_MATTER_KEY.match(line))
    return text


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        lengths = (len(line) + 1 for line in text.split("\n"))
        self._lines = [0, *accumulate(lengths)]
        self._lines[-1] -= 1
        self._edits: list[tuple[int, int, str]] = []
        self._headings: list[tuple[int, int, str]] = []

    def read(self) -> ExtractedText:
        parser = MarkdownIt("commonmark")
        environment: dict[str, Any] = {}
        tokens: list[Token] = []
        parser.block.parse(self._text, parser, environment, tokens)
        definitions = [*environment.get("references", {}).values(), *environment.get("duplicate_refs", [])]
        for definition in definitions:
            self._cut_lines(definition["map"])
        html = HtmlText()
        for number, token in enumerate(tokens):
            if not token.map:
                continue
            if token.type == "html_block":
                # Character references can name invisible characters, and long runs of marks.
                self._cut_lines(token.map, normalize(html.feed_block(token.content)))
                continue
            html.begin_markdown()
            if html.is_hidden:
                self._cut_lines(token.map)
            elif token.type == "inline":
                self._edit_inline(token.map)
            elif token.type == "heading_open" and token.level == 0:
                title = _heading_text(tokens[number + 1].content)
                self._headings.append((self._lines[token.map[0]], int(token.tag[1]), title))
        return self._edited()

    def _cut_lines(self, lines: list[int], replacement: str = "") -> None:
        start, end = self._lines[lines[0]], self._lines[lines[1]]
        if replacement:
            replacement += "\n"
        else:
            while self._text.startswith("\n", end):
                end += 1
        self._edits.append((start, end, replacement))

    def _edit_inline(self, lines: list[int]) -> None:
        start, end = self._lines[lines[0]], self._lines[lines[1]]
        source = self._text[start:end]
        self._edits += [(start + first, start + last, "") for first, last in _hidden_parts(source)]
        self._edits += [
            (start + found.start(), start + found.end(), "") for found in _DATA_URI.finditer(source)
        ]

    def _edited(self) -> ExtractedText:
        """Returns the text with all edits, and the headings at their new offsets."""
        parts: list[str] = []
        starts, shifts = [0], [0]
        position = 0
        for start, end, replacement in sorted(self._edits):
            # An edit may be inside a larger one.
            if start >= position:
                parts += (self._text[position:start], replacement)
                position = end
                starts.append(end)
                shifts.append(shifts[-1] + len(replacement) - (end - start))
        text = "".join([*parts, self._text[position:]])
        headings = [
            (offset + shifts[bisect_right(starts, offset) - 1], level, title)
            for offset, level, title in self._headings
        ]
        return ExtractedText(text.rstrip("\n"), headings=headings)


def _hidden_parts(source: str) -> Iterator[tuple[int, int]]:
    """Yields the ranges of the comments and of the hidden elements in a paragraph. Code spans contain none."""
    if "<" not in source:
        return
    runs: dict[int, list[int]] = {}
    for run in _BACKTICKS.finditer(source):
        runs.setdefault(len(run[0]), []).append(run.start())
    html = HtmlText()
    start: int | None = None
    position = 0
    while mark := _INLINE_MARK.search(source, position):
        position = mark.end()
        if mark[0] == "<!--":
            end = source.find("-->", position)
            if end < 0:
                break
            position = end + len("-->")
            if start is None:
                yield mark.start(), position
        elif mark[0][0] == "<":
            html.feed_block(mark[0])
            if start is None and html.is_hidden:
                start = mark.start()
            elif start is not None and not html.is_hidden:
                yield start, position
                start = None
        elif mark[0][0] == "`":
            length = len(mark[0])
            ends = runs.get(length, [])
            following = bisect_right(ends, mark.start())
            if following < len(ends):
                position = ends[following] + length
    if start is not None:
        # The end of a paragraph ends its elements.
        yield start, len(source.rstrip("\n"))


def _heading_text(heading: str) -> str:
    """Returns the text of a heading without its markup."""
    for first, last in reversed([*_hidden_parts(heading)]):
        heading = heading[:first] + heading[last:]
    text = _MARKUP.sub(lambda markup: markup[1] or "", heading)
    return " ".join(text.split())[:_MAX_HEADING_CHARACTERS]
