"""Sanitises tutor output for Markdown.

Clients render answers as Markdown, so images, HTML tags and link targets are removed, as are citation
numbers without a passage. If the remaining text would still begin a link, an image or a tag, a space
separates the two characters. The output does not depend on how the input is split into pieces.
"""

import re
from typing import NamedTuple, TypeAlias

# The lengths are limited, so that a construct without an end does not hold back the rest of the answer.
_LABEL = r"[^\[\]\n]{0,300}"
_TARGET = r"[^()\n]{0,1000}"
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]{0,31}"
_HOST = r"[Ww]{3}\."
_IN_URL = r"[^\s<>()\[\]\"'`]"

# The order matters: a link begins like a number, an address like a word.
_TOKEN = re.compile(
    rf"(?P<image>!\[{_LABEL}\]\({_TARGET}(?:\({_TARGET}\){_TARGET})?\))"
    rf"|(?P<link>\[(?P<label>{_LABEL})\]\((?=\s*<?(?:{_SCHEME}:|//|{_HOST})){_TARGET}(?:\({_TARGET}\){_TARGET})?\))"
    r"|\[(?P<number>\d{1,100})\]"
    r"|(?P<tag><[A-Za-z/!?][^<>]{0,1000}>)"
    rf"|(?P<address>(?:{_SCHEME}://|{_HOST})(?:{_IN_URL}{{0,1000}}(?<![.,;:!?]))?)"
    rf"|(?P<text>{_SCHEME}|[^A-Za-z!<\[]+|.)",
    re.S,
)
# Incomplete forms of the constructs above, by their first character: more input may complete them.
_OPEN_TARGET = rf"\({_TARGET}(?:\({_TARGET}(?:\){_TARGET})?)?"
_OPEN_LINK = rf"\[{_LABEL}(?:\](?:{_OPEN_TARGET})?)?"
_OPEN = re.compile(
    rf"!(?:{_OPEN_LINK})?"
    rf"|{_OPEN_LINK}"
    r"|<(?:[A-Za-z/!?][^<>]{0,1000})?"
    rf"|{_SCHEME}(?::/?)?"
    rf"|(?:{_SCHEME}://|{_HOST}){_IN_URL}{{0,1001}}"
)
# Positions between two characters that a space must separate.
_SPLIT_POINT = re.compile(
    r"(?<=!)(?=\[)|(?<=\])(?=[(:])|(?<=<)(?=[A-Za-z/!?])|(?<=:/)(?=/)|(?<=[Ww]{3})(?=\.)"
)
_LOOKS_LIKE_NUMBER = re.compile(r"\[\d+(?=\])")
_INCOMPLETE_NUMBER = re.compile(r"\[\d*\Z")
_CONTROL_CHARACTERS = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_TAIL_CHARACTERS = 3
_MAX_DIGITS = 4

REMOVED_ADDRESS = "…"


class Number(NamedTuple):
    """A reference to a passage. Passages are numbered from 1."""

    passage: int


Token: TypeAlias = str | Number


class OutputSanitizer:
    """Sanitises the output of one answer."""

    def __init__(self, passages: int) -> None:
        """`passages` is the number of passages that the tutor received."""
        self._passages = passages
        self._pending = ""
        self._tail = ""

    def feed(self, piece: str) -> list[Token]:
        """Adds a piece and returns the tokens that no later piece can change."""
        self._pending += _CONTROL_CHARACTERS.sub("", piece)
        return self._scan(final=False)

    def finish(self) -> list[Token]:
        """Returns the remaining tokens."""
        return self._scan(final=True)

    def _scan(self, *, final: bool) -> list[Token]:
        tokens: list[Token] = []
        position = 0
        while position < len(self._pending):
            if not final and _OPEN.fullmatch(self._pending, position):
                break
            match = _TOKEN.match(self._pending, position)
            assert match is not None, "any character is a token"
            position = match.end()
            if match["link"] is not None:
                # Scan the label again together with the text after the link: they may form a new construct.
                self._pending, position = match["label"] + self._pending[position:], 0
            elif match["number"] is not None:
                tokens += self._number(match["number"])
            elif match["address"] is not None:
                tokens.append(self._text(REMOVED_ADDRESS))
            elif match["text"] is not None:
                tokens.append(self._text(match["text"]))
        self._pending = self._pending[position:]
        return tokens

    def _number(self, digits: str) -> list[Token]:
        if len(digits) > _MAX_DIGITS or not 1 <= int(digits) <= self._passages:
            return []
        separator = [" "] if self._tail.endswith("!") else []
        self._tail = "]"
        return [*separator, Number(int(digits))]

    def _text(self, text: str) -> str:
        """Returns the text, with a space at each point that would complete a construct with earlier output."""
        offset = len(self._tail)
        joined = self._tail + text
        splits = {match.start() for match in _SPLIT_POINT.finditer(joined, offset)}
        splits |= {match.end() for match in _LOOKS_LIKE_NUMBER.finditer(joined) if match.end() >= offset}
        incomplete = _INCOMPLETE_NUMBER.search(joined)
        self._tail = incomplete[0] if incomplete else joined[-_TAIL_CHARACTERS:]
        if not splits:
            return text
        return "".join(
            f" {character}" if index in splits else character
            for index, character in enumerate(joined[offset:], offset)
        )
