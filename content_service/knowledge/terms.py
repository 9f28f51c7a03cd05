"""Prepares text for PostgreSQL's text search parser. Chunks and queries have the same form, so that they match.

The parser makes one token of some compounds, and their parts are then not found: `1939-1945` has the tokens `1939` and
`-1945`; e-mail addresses, URLs and paths are one token. It ignores words between `<` and `>`. If the character type of
the database is C, it does not recognise punctuation outside ASCII: `“quoted”` and `है।` are words.
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
_COMPOUND = re.compile(r"[0-9a-z]+(?:[-‐‑‒–−_.@][0-9a-z]+)+|[0-9]+(?:,[0-9]+)+")
_DECIMAL = re.compile(r"[0-9]+(?:\.[0-9]+)+")
_MAX_WHOLE_CHARACTERS = 64
"""Longer compounds are found by their parts only."""


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


def to_term_text(text: str) -> str:
    """Returns the words of a text, separated by spaces, as the parser must read them.

    Each part of a compound is a word, and so is the whole: `PPR-9087` becomes `ppr 9087 ppr9087`. Words have no
    capitals, accents and compatibility forms. A run of a script without spaces becomes its character bigrams.
    """
    folded = text.casefold()
    if not folded.isascii():
        folded = unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFKD", folded)))
    wholes = [_whole(match[0]) for match in _COMPOUND.finditer(folded)]
    words = _UNSPACED.sub(_to_bigrams, folded.translate(_WORD_CHARACTERS))
    return " ".join([*words.split(), *(whole for whole in wholes if len(whole) <= _MAX_WHOLE_CHARACTERS)])


def _whole(compound: str) -> str:
    return compound if _DECIMAL.fullmatch(compound) else re.sub(r"[\W_]", "", compound)


def _to_bigrams(run: re.Match[str]) -> str:
    characters = run[0]
    bigrams = [characters[index : index + 2] for index in range(len(characters) - 1)] or [characters]
    return f" {' '.join(bigrams)} "
