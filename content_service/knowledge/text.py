"""The form of texts: as they are shown, and as they are compared.

Shown texts keep the characters of their author, because `10⁸` and `108` are different numbers. Texts are compared in
a form in which such characters are equal.
"""

import re
import unicodedata

# Scripts in which joiners are spelling: Arabic and related, Indic, Sinhala, Tibetan, Burmese, Khmer and Mongolian.
_JOINING = (
    "\u0600-\u06ff\u0700-\u074f\u0750-\u077f\u07c0-\u07ff\u0840-\u085f\u0870-\u08ff\u0900-\u0dff\u0f00-\u0fff"
    "\u1000-\u109f\u1780-\u17ff\u1800-\u18af\ua840-\ua87f\U00010a80-\U00010abf\U00011000-\U000116ff"
)
_EMOJI = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u2460-\u24ff\u2500-\u27bf\u2900-\u297f"
    "\u2b00-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
)
_JOINERS = "\u180b-\u180f\u200c\u200d\ufe0e\ufe0f"
# Joiners after a letter of these scripts, in sequences of emoji, and behind an emoji that has two styles.
_SPELLING = (
    f"(?<=[{_JOINING}])[\u200c\u200d](?![\u200c\u200d])|(?<=[\u1800-\u180a\u1810-\u18af])[\u180b-\u180f]"
    f"|(?<=[{_EMOJI}\ufe0f])\u200d(?=[{_EMOJI}])|(?<=[{_EMOJI}])[\ufe0e\ufe0f]|(?<=[0-9#*])\ufe0f(?=\u20e3)"
)
_SPELLING_OR_JOINER = re.compile(f"({_SPELLING})|[{_JOINERS}]")
_ANY_JOINER = re.compile(f"[{_JOINERS}]")
# Characters without a glyph: zero-width characters, direction marks, soft hyphens, tags. A model would see
# words that are hidden with them from a reader.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
)
CONTROL_CHARACTERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_LINE_BREAKS = re.compile("\r\n?|[\f\v\x85\u2028\u2029]")
# Ligatures and positional forms are glyphs of the letters, which fonts choose: Latin, Armenian, Hebrew, Arabic.
_GLYPHS = re.compile("[\ufb00-\ufb17\ufb20-\ufb28\ufb4f-\ufdcf\ufe70-\ufefc]")
# The time of Unicode normalisation grows with the square of a run of combining characters. No language needs a
# longer run: the limit is that of the stream-safe text format (UAX 15).
_MAX_COMBINING_CHARACTERS = 30
_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*){2,}")


def normalize(text: str) -> str:
    """Returns text as it is shown: in NFC, without invisible characters, with at most one blank line in a row."""
    text = _LINE_BREAKS.sub("\n", text)
    # Before composition, because a removed character may be between a letter and its accent.
    text = CONTROL_CHARACTERS.sub("", _INVISIBLE.sub("", text))
    text = _SPELLING_OR_JOINER.sub(lambda found: found[1] or "", text)
    text = _GLYPHS.sub(lambda glyph: unicodedata.normalize("NFKC", glyph[0]), text)
    text = unicodedata.normalize("NFC", _limit_combining(text))
    return _BLANK_LINES.sub("\n\n", text).strip("\n")


def to_compatibility_form(text: str) -> str:
    """Returns normalised text as it is compared: in NFKC, without joiners."""
    return unicodedata.normalize("NFKC", _ANY_JOINER.sub("", text))


def _limit_combining(text: str) -> str:
    """Returns text without the combining characters that exceed the length of a run."""
    if text.isascii():
        return text
    kept = []
    run = 0
    for character in text:
        for part in unicodedata.normalize("NFD", character):
            # Some characters are combining only in the compared form.
            is_combining = unicodedata.combining(unicodedata.normalize("NFKD", part)[-1]) > 0
            run = run + 1 if is_combining else 0
            if run <= _MAX_COMBINING_CHARACTERS:
                kept.append(part)
    return "".join(kept)
