"""Splits a text into chunks, and chunks into the windows that are embedded."""

import re
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from content_service.knowledge.tokenizer import minilm_tokenizer
from content_service.materials.ingestion.types import ChunkDraft, ChunkLimits, ExtractedText

SECTION_SEPARATOR = " › "
MAX_CHARACTERS_PER_TOKEN = 10
"""Limits the characters of a chunk, because a word that the tokenizer does not know is one token of any length."""
MAX_BLOCK_CHARACTERS = 10_000
"""The splitter processes blocks of this size, because its time can grow with the square of the length."""

# The separators at which a block may end, strongest first.
_BREAKS = ("\n#", "\n\n", "\n", " ")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_MAX_CONTEXT_CHARACTERS = 120
# The places of a chunk are a part of each search result, and their sections can be longer than its text.
_MAX_PLACES = 16


def split_chunks(extracted: ExtractedText, limits: ChunkLimits, *, markdown: bool) -> list[ChunkDraft]:
    """Splits a text into chunks of at most the permitted tokens, at the strongest break that fits."""
    splitter = _splitter(markdown, limits)
    max_characters = limits.tokens * MAX_CHARACTERS_PER_TOKEN
    places = _Places(extracted)
    return [
        _draft(places, start, text)
        for block_start, block in split_blocks(extracted.text)
        for chunk_start, chunk in splitter.chunk_indices(block)
        for long_start, long in _split_long(block_start + chunk_start, chunk, max_characters)
        for start, text in places.limit(long_start, long)
        if any(character.isalnum() for character in text)
    ]


def _draft(places: "_Places", start: int, text: str) -> ChunkDraft:
    _, page, section = places.at(start)
    end = start + len(text)
    return ChunkDraft(page, section, start, end, text, places.between(start, end))


class _Places:
    """The positions of a text at which a page or a section begins."""

    def __init__(self, extracted: ExtractedText) -> None:
        sections = Sections(extracted.headings)
        starts = {0, *extracted.page_starts, *(offset for offset, _, _ in extracted.headings)}
        self._starts = sorted(starts)
        self._places = [
            (start, bisect_right(extracted.page_starts, start), sections.path_at(start))
            for start in self._starts
        ]

    def at(self, position: int) -> tuple[int, int, str]:
        """Returns the place that contains a position."""
        return self._places[bisect_right(self._starts, position) - 1]

    def between(self, start: int, end: int) -> list[tuple[int, int, str]]:
        """Returns the places that begin after `start` and before `end`."""
        return self._places[bisect_right(self._starts, start) : bisect_left(self._starts, end)]

    def limit(self, start: int, text: str) -> list[tuple[int, str]]:
        """Returns a chunk with its offset, split further if it contains too many places."""
        places = self.between(start, start + len(text))
        if len(places) < _MAX_PLACES:
            return [(start, text)]
        cuts = [offset for offset, _, _ in places[_MAX_PLACES - 1 :: _MAX_PLACES]]
        starts, ends = [start, *cuts], [*cuts, start + len(text)]
        return [
            (begin, text[begin - start : end - start].rstrip())
            for begin, end in zip(starts, ends, strict=True)
        ]


def split_blocks(text: str) -> Iterator[tuple[int, str]]:
    """Yields the blocks of a text with their offsets. The concatenation of the blocks is the text."""
    start = 0
    while len(text) - start > MAX_BLOCK_CHARACTERS:
        # A block is at least half full, so that the number of blocks is limited, too.
        earliest, latest = start + MAX_BLOCK_CHARACTERS // 2, start + MAX_BLOCK_CHARACTERS
        found = (text.rfind(mark, earliest, latest) for mark in _BREAKS)
        end = next((offset for offset in found if offset > 0), latest)
        yield start, text[start:end]
        start = end
    yield start, text[start:]


class Sections:
    """The headings above each position of a text. Positions are queried in ascending order."""

    def __init__(self, headings: Iterable[tuple[int, int, str]]) -> None:
        self._ahead = deque(headings)
        self._path: list[tuple[int, str]] = []

    def path_at(self, position: int) -> str:
        """Returns the headings above a position, outermost first."""
        while self._ahead and self._ahead[0][0] <= position:
            _, level, title = self._ahead.popleft()
            while self._path and self._path[-1][0] >= level:
                self._path.pop()
            self._path.append((level, title))
        return SECTION_SEPARATOR.join(title for _, title in self._path if title)


def split_windows(text: str, characters: int) -> list[str]:
    """Splits a chunk into windows of about equal length, at ends of sentences.

    Each window is embedded separately, and the nearest window counts for the chunk. A query is more similar to
    the sentences that answer it than to a whole chunk.
    """
    count = -(-len(text) // characters)
    min_length = 0.9 * len(text) / max(count, 1)
    ends = [end.end() for end in _SENTENCE_END.finditer(text)]
    windows: list[str] = []
    start = 0
    for end in ends:
        if end - start >= min_length and len(windows) < count - 1:
            windows.append(text[start:end].strip())
            start = end
    windows.append(text[start:].strip())
    return [window for window in windows if window]


def add_context(section: str, window: str) -> str:
    """Returns the text to embed: the innermost headings, which name the subject, and the window."""
    return f"{section[-_MAX_CONTEXT_CHARACTERS:]}\n{window}" if section else window


def _split_long(start: int, text: str, max_characters: int) -> list[tuple[int, str]]:
    """Returns a chunk with its offset, split further if it has too many characters."""
    if len(text) <= max_characters:
        return [(start, text)]
    from semantic_text_splitter import TextSplitter

    return [(start + offset, part) for offset, part in TextSplitter(max_characters).chunk_indices(text)]


def load_splitters(limits: ChunkLimits) -> None:
    """Loads the splitters for these limits, so that forks of this process have them."""
    for markdown in (False, True):
        _splitter(markdown, limits)


@lru_cache(maxsize=4)
def _splitter(markdown: bool, limits: ChunkLimits) -> Any:
    from semantic_text_splitter import MarkdownSplitter, TextSplitter

    kind = MarkdownSplitter if markdown else TextSplitter
    return kind.from_huggingface_tokenizer(minilm_tokenizer(), limits.tokens, limits.overlap_tokens)
