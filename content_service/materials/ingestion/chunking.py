"""Cuts a text into passages, and passages into the windows that are embedded."""

import re
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from chassis.models.embeddings import minilm_tokenizer
from content_service.materials.ingestion.extraction import Extracted

SECTION_SEPARATOR = " › "
MAX_CHARACTERS_A_TOKEN = 10
"""Of a passage: a run that the tokenizer does not know is one token, however long it is."""
MAX_BLOCK = 10_000
"""Characters that are cut at once, for the time that it takes may grow with their square."""

# Where a text falls apart, the strongest break first.
_BREAKS = ("\n#", "\n\n", "\n", " ")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_MAX_CONTEXT = 120


class Passage(NamedTuple):
    """A passage of a text."""

    page: int
    """From 1; 0 where there are no pages."""
    section: str
    char_start: int
    char_end: int
    text: str


def passages(extracted: Extracted, *, markdown: bool, tokens: int, overlap: int) -> list[Passage]:
    """Cuts a text into passages of at most so many tokens, at the strongest break that fits."""
    splitter = _splitter(markdown, tokens, overlap)
    most = tokens * MAX_CHARACTERS_A_TOKEN
    sections = Sections(extracted.headings)
    return [
        Passage(
            page=bisect_right(extracted.page_starts, start),
            section=sections.at(start),
            char_start=start,
            char_end=start + len(text),
            text=text,
        )
        for place, block in blocks(extracted.text)
        for begin, part in splitter.chunk_indices(block)
        for start, text in _bounded(place + begin, part, most)
        if any(character.isalnum() for character in text)
    ]


def blocks(text: str) -> Iterator[tuple[int, str]]:
    """Parts of a text of at most MAX_BLOCK characters, and where they begin; together they are the text."""
    start = 0
    while len(text) - start > MAX_BLOCK:
        # A block is at least half full, so that their number is bounded as well.
        least, limit = start + MAX_BLOCK // 2, start + MAX_BLOCK
        found = (text.rfind(mark, least, limit) for mark in _BREAKS)
        end = next((place for place in found if place > 0), limit)
        yield start, text[start:end]
        start = end
    yield start, text[start:]


class Sections:
    """The headings above each position of a text, asked for from its beginning to its end."""

    def __init__(self, headings: Iterable[tuple[int, int, str]]) -> None:
        self._ahead = deque(headings)
        self._path: list[tuple[int, str]] = []

    def at(self, position: int) -> str:
        """The headings above a position, outermost first. No position comes after a later one."""
        while self._ahead and self._ahead[0][0] <= position:
            _, level, words = self._ahead.popleft()
            while self._path and self._path[-1][0] >= level:
                self._path.pop()
            self._path.append((level, words))
        return SECTION_SEPARATOR.join(words for _, words in self._path if words)


def windows(text: str, characters: int) -> list[str]:
    """Cuts a passage into parts of about equal length, at the ends of sentences.

    A question is nearer to the sentences that answer it than to a whole passage of them, so
    each part is embedded by itself and a passage counts as its nearest part.
    """
    count = -(-len(text) // characters)
    goal = 0.9 * len(text) / max(count, 1)
    ends = [end.end() for end in _SENTENCE_END.finditer(text)]
    parts: list[str] = []
    start = 0
    for end in ends:
        if end - start >= goal and len(parts) < count - 1:
            parts.append(text[start:end].strip())
            start = end
    parts.append(text[start:].strip())
    return [part for part in parts if part]


def with_context(section: str, part: str) -> str:
    """A part as it is embedded: under its innermost headings, which name its subject."""
    return f"{section[-_MAX_CONTEXT:]}\n{part}" if section else part


def _bounded(start: int, text: str, most: int) -> list[tuple[int, str]]:
    """A passage and where it begins, cut by characters where it has too many."""
    if len(text) <= most:
        return [(start, text)]
    from semantic_text_splitter import TextSplitter

    return [(start + begin, part) for begin, part in TextSplitter(most).chunk_indices(text)]


@lru_cache(maxsize=4)
def _splitter(markdown: bool, tokens: int, overlap: int) -> Any:
    from semantic_text_splitter import MarkdownSplitter, TextSplitter

    kind = MarkdownSplitter if markdown else TextSplitter
    return kind.from_huggingface_tokenizer(minilm_tokenizer(), tokens, overlap)
