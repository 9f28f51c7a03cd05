"""Prints a streamed text with word wrap."""

import re

from rich.console import Console

_INDENT = "    "


class WordWrap:
    """Prints a text that arrives in pieces. An incomplete word is kept until its rest arrives."""

    def __init__(self, console: Console, width: int = 100) -> None:
        self._console = console
        self._width = min(width, console.width)
        self._rest = ""
        self._column = 0

    def write(self, piece: str) -> None:
        """Prints all complete words."""
        *words, self._rest = re.split(r"(?<=\s)", self._rest + piece)
        for word in words:
            self._print_word(word)

    def finish(self) -> None:
        """Prints the last word and ends the line."""
        self._print_word(self._rest)
        self._rest = ""
        self._console.print()

    def _print_word(self, word: str) -> None:
        text = word.rstrip()
        if self._column + len(text) > self._width:
            self._end_line()
        if text:
            indent = "" if self._column else _INDENT
            self._console.print(f"{indent}{text} ", end="", markup=False, soft_wrap=True)
            self._column += len(indent) + len(text) + 1
        if "\n" in word and self._column:
            self._end_line()

    def _end_line(self) -> None:
        self._console.print()
        self._column = 0
