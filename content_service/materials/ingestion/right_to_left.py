"""Repairs right-to-left text that a PDF contains in the order of reading.

PDF readers expect such text in the order in which it is painted, from left to right, and reverse it. Programs that do
not know the direction of text write it in the order of reading, so that it comes out reversed.
"""

import re

_LETTERS = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc"
_WORD = re.compile(f"[{_LETTERS}]{{2,}}")
# A space before a run belongs to it, except after a number, which stays in its place.
_RUN = re.compile(f"(?:(?<![0-9])[ ])?[{_LETTERS}](?:[{_LETTERS} ]*[{_LETTERS}])?")
# Letters that stand only at the ends of words: final forms in Hebrew, teh marbuta and alef maksura in Arabic.
_LAST = frozenset("\u05da\u05dd\u05df\u05e3\u05e5\u0629\u0649")
_ARTICLE = "\u0627\u0644"
"""The Arabic article, with which words begin."""
# "of", "he", "she" and "on" in Hebrew; "in", "from", "he", "she" and "that" in Arabic. Reversed, they are hardly words.
_COMMON = frozenset(
    {
        "\u05e9\u05dc",
        "\u05d4\u05d5\u05d0",
        "\u05d4\u05d9\u05d0",
        "\u05e2\u05dc",
        "\u0641\u064a",
        "\u0645\u0646",
        "\u0647\u0648",
        "\u0647\u064a",
        "\u0623\u0646",
    }
)


def repair(text: str) -> str:
    """Returns the text with its right-to-left runs reversed, if more words are evidently reversed than not."""
    evidence = sum(map(_direction, _WORD.findall(text)))
    return _RUN.sub(lambda run: run[0][::-1], text) if evidence < 0 else text


def _direction(word: str) -> int:
    """Returns 1 if the word is evidently in the order of reading, -1 if it is reversed, and 0 without evidence."""
    return _is_forward(word) - _is_forward(word[::-1])


def _is_forward(word: str) -> bool:
    return word[-1] in _LAST or word.startswith(_ARTICLE) or word in _COMMON
