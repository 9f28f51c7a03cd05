"""Cuts a text into passages, and passages into the windows that are embedded."""

import re
from bisect import bisect_right
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from semantic_text_splitter import MarkdownSplitter, TextSplitter

from chassis.models.embeddings import minilm_tokenizer
from content_service.ingestion.extraction import Extracted

SECTION_SEPARATOR = " › "

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
    return [
        Passage(
            page=bisect_right(extracted.page_starts, start),
            section=section_at(extracted.headings, start),
            char_start=start,
            char_end=start + len(text),
            text=text,
        )
        for start, text in splitter.chunk_indices(extracted.text)
        if any(character.isalnum() for character in text)
    ]


def section_at(headings: Iterable[tuple[int, int, str]], position: int) -> str:
    """The headings above a position, outermost first."""
    path: list[tuple[int, str]] = []
    for start, level, words in headings:
        if start > position:
            break
        while path and path[-1][0] >= level:
            path.pop()
        path.append((level, words))
    return SECTION_SEPARATOR.join(words for _, words in path if words)


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


@lru_cache(maxsize=4)
def _splitter(markdown: bool, tokens: int, overlap: int) -> Any:
    kind = MarkdownSplitter if markdown else TextSplitter
    return kind.from_huggingface_tokenizer(minilm_tokenizer(), tokens, overlap)
