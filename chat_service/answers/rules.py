"""Rules of answers: what a tutor is given, and what of its text may be said.

Citations cannot lie: a number stands only for a passage that was found for this very
question, and its excerpt is cut out of that passage, never out of what the tutor wrote.
"""

import re
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from chassis.models.extractive import sentences
from chassis.models.tutors import Passage, Utterance
from chat_service.answers.screen import Number, Screen, Token
from chat_service.messages.store import SaidRow
from meno.chat.v1.chat_service_pb2 import Citation
from meno.content.v1.material_service_pb2 import Chunk

LONGEST = 32_768
"""Characters of a tutor's text after which an answer ends."""
REMEMBERED = 10
"""Messages of a chat that the tutor is told, at most."""
REMEMBERED_CHARACTERS = 8_000

_CLAIM = 4_000
_QUOTED_WORDS = 4
_NUMBER = re.compile(r"\s?\[\d+\]")

Part: TypeAlias = str | Citation
"""A stretch of an answer's text, or a citation that the text refers to from there on."""


def passages(chunks: Iterable[Chunk]) -> list[Passage]:
    """What was found, as a tutor reads it."""
    return [Passage(chunk.material_title, chunk.page, chunk.section, chunk.text) for chunk in chunks]


def history(newest_first: Iterable[SaidRow]) -> list[Utterance]:
    """What was said before, oldest first, as far back as the tutor is told.

    The numbers of earlier answers are left out, for they stand for other passages.
    """
    told: list[Utterance] = []
    room = REMEMBERED_CHARACTERS
    for said in newest_first:
        room -= len(said.text)
        if room < 0:
            break
        text = said.text if said.role == "USER" else _NUMBER.sub("", said.text)
        if text:
            told.insert(0, Utterance(said.role == "USER", text))
    return told


class Citing:
    """Turns the pieces of a tutor's text into the parts of an answer.

    Numbers are given anew in the order of their first use, each after its citation.
    """

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self.spoke = False
        """Whether any words have left."""
        self._chunks = chunks
        self._screen = Screen(len(chunks))
        self._numbers: dict[int, int] = {}
        self._claim = ""

    def feed(self, piece: str) -> list[Part]:
        """Takes a piece and returns the parts that have become certain."""
        return self._parts(self._screen.feed(piece))

    def finish(self) -> list[Part]:
        """Returns the rest."""
        return self._parts(self._screen.finish())

    def _parts(self, tokens: Iterable[Token]) -> list[Part]:
        parts: list[Part] = []
        for token in tokens:
            if isinstance(token, Number):
                parts += self._referred(token.passage)
            else:
                self._claim = (self._claim + token)[-_CLAIM:]
                self.spoke = self.spoke or not token.isspace()
                parts.append(token)
        return joined(parts)

    def _referred(self, passage: int) -> list[Part]:
        known = passage in self._numbers
        number = self._numbers.setdefault(passage, len(self._numbers) + 1)
        claim, self._claim = self._claim, ""
        if known:
            return [f"[{number}]"]
        return [citation(number, self._chunks[passage - 1], claim), f"[{number}]"]


def joined(parts: Iterable[Part]) -> list[Part]:
    """The parts with neighbouring stretches of text made one."""
    together: list[Part] = []
    for part in parts:
        if isinstance(part, str) and together and isinstance(together[-1], str):
            together[-1] += part
        elif part:
            together.append(part)
    return together


def citation(number: int, chunk: Chunk, claim: str) -> Citation:
    """A citation of a passage, for the text that it stands behind."""
    start, end = quoted(claim, chunk.text)
    return Citation(
        number=number,
        class_id=chunk.class_id,
        material_id=chunk.material_id,
        revision_id=chunk.revision_id,
        chunk_id=chunk.chunk_id,
        material_title=chunk.material_title,
        page=chunk.page,
        section=chunk.section,
        char_start=chunk.char_start + start,
        char_end=chunk.char_start + end,
        excerpt=chunk.text[start:end],
    )


def quoted(claim: str, passage: str) -> tuple[int, int]:
    """Where in a passage the words of a claim stand.

    It is the stretch from the first to the last sentence that the claim quotes word for
    word; the whole passage where it quotes none, for which words mean the same is not ours to say.
    """
    found = []
    for start, end in sentences(claim):
        words = claim[start:end].split()
        if len(words) >= _QUOTED_WORDS:
            found += [*re.finditer(r"\s+".join(map(re.escape, words)), passage)][:1]
    if not found:
        return 0, len(passage)
    return min(match.start() for match in found), max(match.end() for match in found)
