"""Splits text into sentences and words."""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

# A group matches the punctuation that belongs to the sentence before the boundary.
_BOUNDARY = re.compile(
    r"([.!?][\"'’”)\]]*)\s+(?=[\"'“‘(\[`]?[^\W_a-z])"
    r"|([。！？])"
    r"|\n\s*\n"
    r"|\n(?=\s*(?:[-*+•#>|]|\d+[.)])\s)"
)
_ABBREVIATION = re.compile(
    r"(?<![\w.])(?:[A-Za-z]|e\.g|i\.e|cf|vs|ca|approx|no|fig|eq|dr|mrs?|ms|prof|st|jr|sr)\.$", re.I
)
_MAX_ABBREVIATION_CHARACTERS = 9
_LIST_MARKER = re.compile(r"\s*(?:[-*+•>]\s+|\d+[.)]\s+)?")
_NOT_PROSE = re.compile(r"#|\||`{3}")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")


def find_sentences(text: str) -> Iterator[tuple[int, int]]:
    """Yields the start and end of each sentence. Headings, tables and code are not sentences."""
    start = 0
    for stop, next_start in _boundaries(text):
        if _ABBREVIATION.search(text, max(start, stop - _MAX_ABBREVIATION_CHARACTERS), stop):
            continue
        marker = _LIST_MARKER.match(text, start, stop)
        begin = marker.end() if marker else start
        end = begin + len(text[begin:stop].rstrip())
        if begin < end and not _NOT_PROSE.match(text, begin):
            yield begin, end
        start = next_start


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
    """Returns the words of a text, normalised for comparison (NFKC, casefolded)."""
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return _WORD.findall(plain.casefold())


def _boundaries(text: str) -> Iterator[tuple[int, int]]:
    for match in _BOUNDARY.finditer(text):
        yield match.end(match.lastindex) if match.lastindex else match.start(), match.end()
    yield len(text), len(text)
