"""Makes tutor output safe to render as Markdown, without deleting words.

Clients render answers as Markdown, and many turn addresses in plain text into links. A tutor must not be able to
create a link, an image, HTML or a citation number of its own. The sanitizer inserts a space into each character
sequence that could begin one of them, and keeps all other text: `a<b` becomes `a< b`.

Renderers decode character references and backslash escapes. Some of them search the decoded text for addresses
(remark-gfm). Therefore, character references are split, too, and a backslash never hides a sequence. Formulas in TeX
can also contain links: MathJax accepts even `\\href{javascript:…}`.

The output does not depend on how the input is split into pieces.
"""

import re
from typing import NamedTuple, TypeAlias

# Direction controls, zero-width characters and tags have no glyph. Joiners are kept, because they are spelling.
_REMOVED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ud800-\udfff"
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)

# The lengths are limited, so that a sequence without an end does not hold back the rest of the answer.
_MAX_MARKER_CHARACTERS = 40
_OPENING, _CLOSING = "\\[［【〔〖⟦", "\\]］】〕〗⟧"
# Characters of a citation number: no letters, and nothing that begins a sequence of the other rules below.
_NUMERAL = r"\d²³¹¼-¾⁰⁴-⁹₀-₉⅐-↉①-⒛⓪-⓿❶-➓㉑-㉟㊱-㊿"
_IN_MARKER = rf"(?:[{_NUMERAL}_]|[^\w{_OPENING}{_CLOSING}/@&<]|&(?!#)|<(?![A-Za-z/!?])|/(?![/\\]))"
# The top-level domains that linkify-it recognises without a scheme (its `tlds_default` and `tlds_2ch_src_re`).
_TOP_LEVEL_DOMAIN = (
    r"(?:biz|com|edu|gov|net|org|pro|web|xxx|aero|asia|coop|info|museum|name|shop|рф"
    r"|a[cdefgilmnoqrstuwxz]|b[abdefghijmnorstvwyz]|c[acdfghiklmnoruvwxyz]|d[ejkmoz]|e[cegrstu]|f[ijkmor]"
    r"|g[abdefghilmnpqrstuwy]|h[kmnrtu]|i[delmnoqrst]|j[emop]|k[eghimnprwyz]|l[abcikrstuvy]"
    r"|m[acdeghklmnopqrstuvwxyz]|n[acefgilopruz]|om|p[aefghklmnrstwy]|qa|r[eosuw]|s[abcdeghijklmnortuvxyz]"
    r"|t[cdfghjklmnortvwz]|u[agksyz]|v[aceginu]|w[fs]|y[et]|z[amw])(?![\w-])|xn--"
)
# Commands of TeX that make links, load images or extensions, or set attributes of HTML (MathJax and KaTeX).
_TEX_COMMAND = (
    r"(?:href|url|includegraphics|require|style|class|cssId|data|html(?:Class|Data|Id|Style))(?![A-Za-z])"
)
_MAX_TEX_COMMAND_CHARACTERS = 15
_TOKEN = re.compile(
    r"\[(?P<number>\d{1,4})\](?P<follows>(?=[(:]))?"
    rf"|(?P<marker>[{_OPENING}])(?P<inner>{_IN_MARKER}{{1,{_MAX_MARKER_CHARACTERS}}}?)(?=\\?[{_CLOSING}])"
    r"|(?P<split>&(?=(?:\#\d{1,7}|\#[Xx][0-9A-Fa-f]{1,6}|[A-Za-z][0-9A-Za-z]{0,31});)"
    rf"|[{_OPENING}](?={_IN_MARKER}{{{_MAX_MARKER_CHARACTERS + 1}}})"
    r"|/\\?/(?=[^\s/])"
    rf"|\\(?={_TEX_COMMAND})"
    r"|[Ww]{3}\\?\.(?=\S)"
    rf"|(?<=[^\s.)\]}}\"'])\\?\.(?=(?i:{_TOP_LEVEL_DOMAIN}))"
    r"|(?<=\S)@(?=\S)"
    r"|<(?=[A-Za-z/!?])"
    r"|!(?=\[)"
    r"|\](?=[(:]))"
    rf"|(?P<text>[^{_OPENING}\]&/Ww.@<!\\]+|.)",
    re.S,
)
# Beginnings of these sequences: only more input decides what they are.
_UNDECIDED = re.compile(
    rf"\[\d{{1,4}}\]"
    rf"|[{_OPENING}]{_IN_MARKER}{{0,{_MAX_MARKER_CHARACTERS + 1}}}"
    r"|&(?:\#?[0-9A-Za-z]{0,32})?"
    r"|/(?:\\?/?)?"
    r"|[Ww]{1,3}|[Ww]{3}\\?\.?"
    rf"|\\[A-Za-z]{{0,{_MAX_TEX_COMMAND_CHARACTERS}}}|\\?\.\w{{0,6}}|\\?\.xn-"
    r"|[@<!\]]"
)
_CONTEXT_CHARACTERS = 1
"""Characters before a sequence that its rule inspects."""


class Number(NamedTuple):
    """A reference to a passage. Passages are numbered from 1."""

    passage: int


Token: TypeAlias = str | Number


class OutputSanitizer:
    """Sanitises the output of one answer."""

    def __init__(self, passages: int) -> None:
        """`passages` is the number of passages that the tutor received."""
        self._passages = passages
        self._text = ""
        self._position = 0
        """The text before the position has been returned; its last character is context."""

    def feed(self, piece: str) -> list[Token]:
        """Adds a piece and returns the tokens that no later piece can change."""
        self._text += _REMOVED.sub("", piece)
        return self._scan(final=False)

    def finish(self) -> list[Token]:
        """Returns the remaining tokens."""
        return self._scan(final=True)

    def _scan(self, *, final: bool) -> list[Token]:
        tokens: list[Token] = []
        while self._position < len(self._text):
            if not final and _UNDECIDED.fullmatch(self._text, self._position):
                break
            match = _TOKEN.match(self._text, self._position)
            assert match is not None, "any character is a token"
            tokens += self._tokens(match)
            self._position = match.end()
        kept = max(self._position - _CONTEXT_CHARACTERS, 0)
        self._text, self._position = self._text[kept:], self._position - kept
        return tokens

    def _tokens(self, match: re.Match[str]) -> list[Token]:
        if match["number"]:
            separator = [" "] if match["follows"] is not None else []
            if 1 <= int(match["number"]) <= self._passages:
                return [Number(int(match["number"])), *separator]
            return [f"[ {match['number']} ]", *separator]
        if match["marker"]:
            return [match["marker"], _spaced(match["inner"])]
        return [f"{match['split']} " if match["split"] else match["text"]]


def _spaced(inner: str) -> str:
    """Returns the text between two brackets, with spaces around it if it contains a numeral."""
    if not any(character.isnumeric() for character in inner):
        return inner
    before = "" if inner[0].isspace() else " "
    after = "" if inner[-1].isspace() else " "
    return f"{before}{inner}{after}"
