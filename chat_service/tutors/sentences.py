"""Splits text into sentences and words."""

import re
from collections.abc import Iterator
from functools import lru_cache

from chassis.words import fold, split_words

# A group matches the punctuation that belongs to the sentence before the boundary. Scripts without capitals and
# spaces have their own marks: Devanagari, Arabic, Urdu, Armenian, Ethiopic, Khmer, Burmese, Chinese and Japanese.
_BOUNDARY = re.compile(
    r"([.!?][\"'’”)\]]*)\s+(?=[\"'“‘„«¿¡(\[`]?[^\W_a-z])"
    r"|([।॥։።។။][\"'’”)\]]*)"
    r"|([؟۔][\"'’”)\]]*)(?=\s)"
    r"|([。！？｡][」』”’）]*)"
    r"|\n\s*\n"
    r"|\n(?=\s*(?:\||(?:[-*+•>]|#{1,6}|\d+[.)])\s))"
)
_ABBREVIATION = re.compile(
    r"(?<![\w.])(?:[A-Za-z]|e\.g|i\.e|cf|vs|ca|approx|no|fig|eq|dr|mrs?|ms|prof|st|jr|sr)\.$", re.I
)
_MAX_ABBREVIATION_CHARACTERS = 9
_HEADING_LINE = re.compile(r"\s*#{1,6}(?:\s[^\n]*)?(?:\n|$)")
_LIST_MARKER = re.compile(r"\s*(?:[-*+•>]\s+|\d+[.)]\s+)?")
_CODE_FENCE = "```"
_CELL_EDGE = "|"
# The row of dashes below the header of a table.
_TABLE_RULE = re.compile(r"\s*\|[\s|:]*-[\s|:-]*(?:\n|$)")


def find_sentences(text: str) -> Iterator[tuple[int, int]]:
    """Yields the start and end of each sentence. An item of a list and a row of a table count as sentences.

    Headings, headers of tables and code are not sentences.
    """
    start = 0
    for stop, next_start in _boundaries(text):
        if _ABBREVIATION.search(text, max(start, stop - _MAX_ABBREVIATION_CHARACTERS), stop):
            continue
        begin = _skip_markup(text, start, stop)
        is_row = text.startswith(_CELL_EDGE, begin, stop)
        if is_row:
            is_header = _TABLE_RULE.match(text, next_start) or _TABLE_RULE.match(text, begin)
            begin = stop if is_header else begin + len(_CELL_EDGE)
            begin += len(text[begin:stop]) - len(text[begin:stop].lstrip())
        end = begin + len(text[begin:stop].rstrip(" \t\n" + _CELL_EDGE if is_row else None))
        if begin < end and not text.startswith(_CODE_FENCE, begin):
            yield begin, end
        start = next_start


def _skip_markup(text: str, start: int, stop: int) -> int:
    """Returns the position after headings and the marker of a list item."""
    for markup in (_HEADING_LINE, _LIST_MARKER):
        if match := markup.match(text, start, stop):
            start = match.end()
    return start


@lru_cache(maxsize=8192)
def stem(word: str) -> str:
    """Returns a word without English inflection endings. Words of other languages mostly stay unchanged."""
    word = word.removesuffix("'s").removesuffix("’s")
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-2] if word.endswith(("sses", "xes", "ches", "shes")) else word[:-1]
    for ending in ("ing", "ed"):
        root = word.removesuffix(ending)
        if root != word and len(root) > 2 and re.search("[aeiouy]", root):
            word = root[:-1] if root[-1] == root[-2] and root[-1] not in "lsz" else root
            break
    return word.removesuffix("e") if len(word) > 3 else word


def stems(text: str) -> frozenset[str]:
    """Returns the stems of the words of a text."""
    return frozenset(map(stem, words(text)))


def words(text: str) -> list[str]:
    """Returns the words of a text, folded for comparison."""
    return split_words(fold(text))


def _boundaries(text: str) -> Iterator[tuple[int, int]]:
    for match in _BOUNDARY.finditer(text):
        yield match.end(match.lastindex) if match.lastindex else match.start(), match.end()
    yield len(text), len(text)
