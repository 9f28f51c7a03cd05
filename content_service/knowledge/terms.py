"""Prepares text for PostgreSQL's text search parser. Chunks and queries have the same form, so that they match.

The parser makes one token of some compounds, and their parts are then not found: `1939-1945` has the tokens `1939` and
`-1945`; e-mail addresses, URLs and paths are one token. It ignores words between `<` and `>`. If the character type of
the database is C, it does not recognise punctuation outside ASCII: `“quoted”` and `है।` are words.
"""

import re

from chassis.words import fold, split_words

_COMPOUND = re.compile(r"[0-9a-z]+(?:[-‐‑‒–−_.@][0-9a-z]+)+|[0-9]+(?:,[0-9]+)+")
_DECIMAL = re.compile(r"[0-9]+(?:\.[0-9]+)+")
_MAX_WHOLE_CHARACTERS = 64
"""Longer compounds are found by their parts only."""


def to_term_text(text: str) -> str:
    """Returns the words of a text, separated by spaces, as the parser must read them.

    Each part of a compound is a word, and so is the whole: `PPR-9087` becomes `ppr 9087 ppr9087`.
    """
    folded = fold(text)
    wholes = [_whole(match[0]) for match in _COMPOUND.finditer(folded)]
    return " ".join([*split_words(folded), *(one for one in wholes if len(one) <= _MAX_WHOLE_CHARACTERS)])


def _whole(compound: str) -> str:
    return compound if _DECIMAL.fullmatch(compound) else re.sub(r"[\W_]", "", compound)
