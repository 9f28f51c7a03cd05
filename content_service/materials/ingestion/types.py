"""Value types of ingestion."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

LENGTH_BYTES = 4
"""The size of the length before an ExtractionTask on a socket, in network byte order."""


class SourceFile(NamedTuple):
    """A file to read."""

    path: Path
    file_format: str
    charset: str = ""
    """The charset that the upload declared; empty if it declared none."""


@dataclass(frozen=True)
class TextLimits:
    """The limits for the text of one file."""

    max_characters: int
    max_pages: int


@dataclass(frozen=True)
class ChunkLimits:
    """The limits for the chunks of one text."""

    tokens: int
    overlap_tokens: int


@dataclass(frozen=True)
class ExtractionLimits:
    """The limits for the process that extracts and splits the text of one file."""

    text: TextLimits
    seconds: int
    """The maximum of CPU time, which large files may use. Small files have less."""
    memory_bytes: int


class ExtractionTask(NamedTuple):
    """The arguments of the process that extracts and splits the text of one file."""

    file_format: str
    charset: str
    max_characters: int
    max_pages: int
    tokens: int
    overlap_tokens: int
    seconds: int
    memory_bytes: int


@dataclass
class ExtractedText:
    """The text of a file."""

    text: str
    page_starts: list[int] = field(default_factory=list)
    """The offset of each page in characters; empty if the format has no pages."""
    headings: list[tuple[int, int, str]] = field(default_factory=list)
    """Each heading: its offset in characters, its level from 1, and its text."""


class UnreadableFile(Exception):
    """The file cannot be used. `cause` is a FailureReason without its prefix, or a more exact cause; see `rules`."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class AttemptSuperseded(Exception):
    """Another worker has claimed the material since this attempt began."""


class ChunkDraft(NamedTuple):
    """A chunk to insert."""

    page: int
    """From 1; 0 if the format has no pages."""
    section: str
    char_start: int
    char_end: int
    text: str
    places: list[tuple[int, int, str]]
    """The later pages and sections: each its offset in characters, its page and its section."""


class ChunkedText(NamedTuple):
    """The chunks of a file."""

    page_count: int
    """0 if the format has no pages."""
    chunks: list[ChunkDraft]


class ClaimedRow(NamedTuple):
    """A material that a worker has claimed, with the settings of its processing."""

    attempt: int
    failed_attempts: int
    storage_key: str
    content_type: str
    charset: str
    chunk_count: int
    chunk_tokens: int
    chunk_overlap_tokens: int
    window_characters: int


class UnembeddedChunkRow(NamedTuple):
    """A chunk that has no embeddings yet."""

    ordinal: int
    section: str
    text: str
