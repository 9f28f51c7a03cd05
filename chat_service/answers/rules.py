"""Rules of answers: the input of a tutor, and the parts of its output that readers receive.

A tutor cannot forge a citation. Its number refers only to a chunk that was found for this question. Its
excerpt is cut out of that chunk, never out of the tutor's text.
"""

import re
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from chat_service.answers.sanitizer import Number, OutputSanitizer, Token
from chat_service.chats.types import HistoryRow
from chat_service.tutors.sentences import find_sentences, words
from chat_service.tutors.types import ChatTurn, Passage
from meno.chat.v1.resources_pb2 import Citation
from meno.content.v1.resources_pb2 import Chunk

MAX_ANSWER_CHARACTERS = 32_768
"""An answer ends after this many characters of tutor output."""
HISTORY_MESSAGES = 10
"""Maximum number of earlier messages that the tutor receives."""
HISTORY_CHARACTERS = 8_000
"""Maximum length of these messages together."""

_MAX_CLAIM_CHARACTERS = 4_000
_MIN_QUOTED_WORDS = 2
_MAX_WORD_CHARACTERS = 200
"""The part of a sentence in which words are counted."""
_NUMBER = re.compile(r"\s?\[\d+\]")

Part: TypeAlias = str | Citation
"""A range of an answer's text, or a citation that the following text refers to."""


def to_passages(chunks: Iterable[Chunk]) -> list[Passage]:
    """Returns the found chunks as passages for a tutor."""
    return [Passage(chunk.material_title, chunk.page, chunk.section, chunk.text) for chunk in chunks]


def to_history(newest_first: Iterable[HistoryRow]) -> list[ChatTurn]:
    """Returns the earlier messages for a tutor, oldest first, up to HISTORY_CHARACTERS.

    The citation numbers of earlier answers are removed, because they refer to other passages.
    """
    history: list[ChatTurn] = []
    remaining = HISTORY_CHARACTERS
    for row in newest_first:
        remaining -= len(row.text)
        if remaining < 0:
            break
        text = row.text if row.role == "USER" else _NUMBER.sub("", row.text)
        if text:
            history.insert(0, ChatTurn(row.role == "USER", text))
    return history


class CitationTracker:
    """Turns pieces of tutor output into the parts of an answer.

    Citations are renumbered from 1 in the order of their first use. Each citation precedes its number.
    """

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self.has_text = False
        """Whether any text other than white space has been returned."""
        self._chunks = chunks
        self._sanitizer = OutputSanitizer(len(chunks))
        self._numbers: dict[int, int] = {}
        self._claim = ""

    def feed(self, piece: str) -> list[Part]:
        """Adds a piece and returns the parts that no later piece can change."""
        return self._parts(self._sanitizer.feed(piece))

    def finish(self) -> list[Part]:
        """Returns the remaining parts."""
        return self._parts(self._sanitizer.finish())

    def _parts(self, tokens: Iterable[Token]) -> list[Part]:
        parts: list[Part] = []
        for token in tokens:
            if isinstance(token, Number):
                parts += self._cite(token.passage)
            else:
                self._claim = (self._claim + token)[-_MAX_CLAIM_CHARACTERS:]
                self.has_text = self.has_text or not token.isspace()
                parts.append(token)
        return join_text(parts)

    def _cite(self, passage: int) -> list[Part]:
        is_known = passage in self._numbers
        number = self._numbers.setdefault(passage, len(self._numbers) + 1)
        claim, self._claim = self._claim, ""
        if is_known:
            return [f"[{number}]"]
        return [to_citation(number, self._chunks[passage - 1], claim), f"[{number}]"]


def join_text(parts: Iterable[Part]) -> list[Part]:
    """Returns the parts with adjacent texts joined and empty texts removed."""
    joined: list[Part] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part:
            joined.append(part)
    return joined


def to_citation(number: int, chunk: Chunk, claim: str) -> Citation:
    """Returns the citation of a chunk. Its excerpt is the range that the claim quotes."""
    start, end = find_quote(claim, chunk.text)
    page, section = _place_at(chunk, chunk.char_start + start)
    return Citation(
        number=number,
        class_id=chunk.class_id,
        material_id=chunk.material_id,
        revision_id=chunk.revision_id,
        chunk_id=chunk.chunk_id,
        material_title=chunk.material_title,
        page=page,
        section=section,
        char_start=chunk.char_start + start,
        char_end=chunk.char_start + end,
        excerpt=chunk.text[start:end],
    )


def _place_at(chunk: Chunk, position: int) -> tuple[int, str]:
    """Returns the page and the section of a position in the extracted text of a chunk."""
    page, section = chunk.page, chunk.section
    for place in chunk.places:
        if place.char_start > position:
            break
        page, section = place.page, place.section
    return page, section


def find_quote(claim: str, passage: str) -> tuple[int, int]:
    """Returns the character range of the passage that the claim quotes verbatim, or the whole passage.

    The range extends from the first to the last quoted sentence. White space may differ, also because the
    sanitizer inserts spaces. Paraphrases and sentences of one word are not matched.
    """
    positions = [index for index, character in enumerate(passage) if not character.isspace()]
    text = "".join(passage[index] for index in positions)
    found = []
    for start, end in find_sentences(claim):
        quote = "".join(claim[start:end].split())
        is_quotable = len(words(claim[start : min(end, start + _MAX_WORD_CHARACTERS)])) >= _MIN_QUOTED_WORDS
        if is_quotable and (at := text.find(quote)) >= 0:
            found.append((positions[at], positions[at + len(quote) - 1] + 1))
    if not found:
        return 0, len(passage)
    return min(start for start, _ in found), max(end for _, end in found)
