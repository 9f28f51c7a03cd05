"""What may leave of a tutor's text: words, and the numbers of passages that it was given.

Whoever shows an answer renders Markdown. So images, HTML tags and the targets of links are
taken out, numbers that belong to no passage as well, and where what is left would still
begin a link, an image or a tag, a space is put between. The text comes in pieces cut
anywhere; what leaves is the same as if it had come whole.
"""

import re
from typing import NamedTuple, TypeAlias

_LABEL = r"[^\[\]\n]{0,300}"
_TARGET = r"[^()\n]{0,1000}"
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]{0,31}"
_HOST = r"[Ww]{3}\."
_IN_URL = r"[^\s<>()\[\]\"'`]"

# The order decides: a link begins like a number, an address like a word.
_TOKEN = re.compile(
    rf"(?P<image>!\[{_LABEL}\]\({_TARGET}(?:\({_TARGET}\){_TARGET})?\))"
    rf"|(?P<link>\[(?P<label>{_LABEL})\]\((?=\s*<?(?:{_SCHEME}:|//|{_HOST})){_TARGET}(?:\({_TARGET}\){_TARGET})?\))"
    r"|\[(?P<number>\d{1,100})\]"
    r"|(?P<tag><[A-Za-z/!?][^<>]{0,1000}>)"
    rf"|(?P<address>(?:{_SCHEME}://|{_HOST})(?:{_IN_URL}{{0,1000}}(?<![.,;:!?]))?)"
    rf"|(?P<text>{_SCHEME}|[^A-Za-z!<\[]+|.)",
    re.S,
)
# What may yet become one of the above when more text comes, by its first character.
_OPEN_TARGET = rf"\({_TARGET}(?:\({_TARGET}(?:\){_TARGET})?)?"
_OPEN_LINK = rf"\[{_LABEL}(?:\](?:{_OPEN_TARGET})?)?"
_OPEN = re.compile(
    rf"!(?:{_OPEN_LINK})?"
    rf"|{_OPEN_LINK}"
    r"|<(?:[A-Za-z/!?][^<>]{0,1000})?"
    rf"|{_SCHEME}(?::/?)?"
    rf"|(?:{_SCHEME}://|{_HOST}){_IN_URL}{{0,1001}}"
)
# Two characters between which a space is put.
_SEAM = re.compile(r"(?<=!)(?=\[)|(?<=\])(?=[(:])|(?<=<)(?=[A-Za-z/!?])|(?<=:/)(?=/)|(?<=[Ww]{3})(?=\.)")
_LIKE_A_NUMBER = re.compile(r"\[\d+(?=\])")
_BEGUN_NUMBER = re.compile(r"\[\d*\Z")
_UNSPEAKABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_SEEN_BACK = 3
_MOST_DIGITS = 4

REMOVED_ADDRESS = "…"


class Number(NamedTuple):
    """A reference to a passage, from 1."""

    passage: int


Token: TypeAlias = str | Number


class Screen:
    """Screens one answer."""

    def __init__(self, passages: int) -> None:
        """`passages` is how many there are to refer to."""
        self._passages = passages
        self._held = ""
        self._tail = ""

    def feed(self, piece: str) -> list[Token]:
        """Takes a piece and returns what has become certain."""
        self._held += _UNSPEAKABLE.sub("", piece)
        return self._scan(final=False)

    def finish(self) -> list[Token]:
        """Returns the rest."""
        return self._scan(final=True)

    def _scan(self, *, final: bool) -> list[Token]:
        tokens: list[Token] = []
        position = 0
        while position < len(self._held):
            if not final and _OPEN.fullmatch(self._held, position):
                break
            found = _TOKEN.match(self._held, position)
            assert found is not None, "any character is a token"
            position = found.end()
            if found["link"] is not None:
                # What the label holds is looked at again, together with what follows the link.
                self._held, position = found["label"] + self._held[position:], 0
            elif found["number"] is not None:
                tokens += self._number(found["number"])
            elif found["address"] is not None:
                tokens.append(self._text(REMOVED_ADDRESS))
            elif found["text"] is not None:
                tokens.append(self._text(found["text"]))
        self._held = self._held[position:]
        return tokens

    def _number(self, digits: str) -> list[Token]:
        if len(digits) > _MOST_DIGITS or not 1 <= int(digits) <= self._passages:
            return []
        between = [" "] if self._tail.endswith("!") else []
        self._tail = "]"
        return [*between, Number(int(digits))]

    def _text(self, text: str) -> str:
        """The text, with spaces where it would begin something together with what left before."""
        behind = len(self._tail)
        joined = self._tail + text
        seams = {found.start() for found in _SEAM.finditer(joined, behind)}
        seams |= {found.end() for found in _LIKE_A_NUMBER.finditer(joined) if found.end() >= behind}
        begun = _BEGUN_NUMBER.search(joined)
        self._tail = begun[0] if begun else joined[-_SEEN_BACK:]
        if not seams:
            return text
        return "".join(
            f" {character}" if place in seams else character
            for place, character in enumerate(joined[behind:], behind)
        )
