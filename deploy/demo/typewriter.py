"""Prints a text while it comes, wrapped between the margins."""

import re

from rich.console import Console

_INDENT = "    "


class Typewriter:
    """Takes a text in pieces; a word that is not whole yet waits for its rest."""

    def __init__(self, console: Console, width: int = 100) -> None:
        self._console = console
        self._width = min(width, console.width)
        self._rest = ""
        self._column = 0

    def type(self, piece: str) -> None:
        """Prints every word that is whole."""
        *whole, self._rest = re.split(r"(?<=\s)", self._rest + piece)
        for word in whole:
            self._put(word)

    def finish(self) -> None:
        """Prints the last word, and ends the line."""
        self._put(self._rest)
        self._rest = ""
        self._console.print()

    def _put(self, word: str) -> None:
        text = word.rstrip()
        if self._column + len(text) > self._width:
            self._end_line()
        if text:
            lead = "" if self._column else _INDENT
            self._console.print(f"{lead}{text} ", end="", markup=False, soft_wrap=True)
            self._column += len(lead) + len(text) + 1
        if "\n" in word and self._column:
            self._end_line()

    def _end_line(self) -> None:
        self._console.print()
        self._column = 0
