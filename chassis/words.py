"""Splits text of any script into words, for comparison.

`re` has no class for combining marks, so its `\\w+` cuts words of Indic scripts at each vowel sign.
"""

import re
import unicodedata

# Marks that distinguish letters of the Latin, Greek and Cyrillic scripts. People often do not type them.
_ACCENTS = re.compile("[\u0300-\u036f]+")
# Scripts without spaces between words: kana, Han, Thai, Lao, Burmese and Khmer.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]+"
)
_MAX_CACHED_CODE = 0xFFFF
"""Texts could fill the memory with all other characters, which are rare."""


class _WordCharacters(dict[int, int | str | None]):
    """A table for `str.translate`: keeps letters, marks and digits, and replaces other characters by spaces."""

    def __missing__(self, code: int) -> int | str | None:
        category = unicodedata.category(chr(code))
        # Format characters, such as joiners, have no glyph.
        kept = code if category[0] in "LMN" else None if category == "Cf" else " "
        if code <= _MAX_CACHED_CODE:
            self[code] = kept
        return kept


_WORD_CHARACTERS = _WordCharacters()


def fold(text: str) -> str:
    """Returns a text without capitals, accents and compatibility forms.

    The time grows with the square of the longest run of combining marks. Limit the length of texts of users.
    """
    # Before the decomposition, because its time grows with the square of a run of marks.
    folded = _ACCENTS.sub("", text.casefold())
    if folded.isascii():
        return folded
    return unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFKD", folded)))


def split_words(text: str) -> list[str]:
    """Returns the words of a text: runs of letters, marks and digits.

    A run of a script without spaces between words gives its character bigrams instead.
    """
    return _UNSPACED.sub(_to_bigrams, text.translate(_WORD_CHARACTERS)).split()


def _to_bigrams(run: re.Match[str]) -> str:
    characters = run[0]
    bigrams = [characters[index : index + 2] for index in range(len(characters) - 1)] or [characters]
    return f" {' '.join(bigrams)} "
