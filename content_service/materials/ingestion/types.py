"""Value types of ingestion."""

from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(frozen=True)
class TextLimits:
    """The limits for the text of one file."""

    max_characters: int
    max_pages: int


@dataclass(frozen=True)
class ExtractionLimits:
    """The limits for the extraction of one file."""

    text: TextLimits
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
    """The file cannot be used. `reason` is the name of a FailureReason without its prefix."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


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


class ClaimedRow(NamedTuple):
    """A material that a worker has claimed, with the settings of its processing."""

    attempt: int
    failed_attempts: int
    storage_key: str
    content_type: str
    chunk_count: int
    chunk_tokens: int
    chunk_overlap_tokens: int
    window_characters: int


class UnembeddedChunkRow(NamedTuple):
    """A chunk that has no embeddings yet."""

    ordinal: int
    section: str
    text: str
