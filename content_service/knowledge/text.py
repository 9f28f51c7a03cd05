"""Normalisation of text. Materials and queries have the same form, so that they match."""

import re
import unicodedata

# Characters without a glyph: zero-width characters, direction marks, soft hyphens, tags. A model would see
# words that are hidden with them from a reader.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
)
CONTROL_CHARACTERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
# The time of Unicode normalisation grows with the square of a run of combining characters. No language needs a
# longer run: the limit is that of the stream-safe text format (UAX 15).
_MAX_COMBINING_CHARACTERS = 30
_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*){2,}")


def normalize(text: str) -> str:
    """Returns text in NFKC, without invisible characters, with at most one blank line in a row."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n")
    # Before composition, because a removed character may be between a letter and its accent.
    text = _limit_combining(CONTROL_CHARACTERS.sub("", _INVISIBLE.sub("", text)))
    return _BLANK_LINES.sub("\n\n", unicodedata.normalize("NFKC", text)).strip("\n")


def _limit_combining(text: str) -> str:
    """Returns text without the combining characters that exceed the length of a run."""
    if text.isascii():
        return text
    kept = []
    run = 0
    for character in text:
        # Normalisation decomposes characters, and some into several combining characters.
        for part in unicodedata.normalize("NFKD", character):
            run = run + 1 if unicodedata.combining(part) else 0
            if run <= _MAX_COMBINING_CHARACTERS:
                kept.append(part)
    return "".join(kept)
