"""Converts HTML to Markdown: headings, paragraphs, lists, tables and code. Hidden elements are left out."""

import re
from html import unescape
from html.parser import HTMLParser

_HIDDEN = frozenset(
    {
        "script", "style", "template", "noscript", "svg", "iframe", "object", "select", "datalist",
        # Their content is shown only by browsers that do not know the element.
        "audio", "canvas", "meter", "noembed", "noframes", "progress", "video",
    }
)  # fmt: skip
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_PARAGRAPHS = frozenset(
    {
        "address", "article", "aside", "blockquote", "body", "caption", "dd", "details", "dialog", "div", "dl", "dt",
        "fieldset", "figcaption", "figure", "footer", "form", "header", "html", "main", "nav", "ol", "p",
        "section", "summary", "table", "tbody", "tfoot", "thead", "title", "ul",
    }
)  # fmt: skip
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)
_HIDING_STYLE = re.compile(
    r"(?:^|;)(?:display:none|(?:content-)?visibility:(?:hidden|collapse)|color:transparent"
    r"|(?:font-size|opacity):(?:0+\.?0*|\.0+)(?:[a-z]{1,4}|%)?)(?:;|!|$)"
)
_UNFINISHED = re.compile("<(?=[A-Za-z/!?])")
_STYLE_SPACE = re.compile(r"\s+|/\*.*?\*/", re.DOTALL)
_SUPERSCRIPTS = str.maketrans(
    "0123456789+-−=()abcdefghijklmnoprstuvwxyz", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ"
)
_SUBSCRIPTS = str.maketrans("0123456789+-−=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ")
_MATH_SCRIPTS = {"msup": "sup", "msub": "sub"}
_OPTIONAL_END_TAGS = frozenset({"p", "li", "dt", "dd", "tr", "td", "th"})
# The start of these elements ends a paragraph, and so does their end (HTML Living Standard, 4.4.1).
_END_PARAGRAPHS = _PARAGRAPHS | set(_HEADINGS) | {"hr", "li", "pre"}


def to_markdown(page: str) -> str:
    """Returns the visible text of a page, with Markdown headings."""
    writer = _Writer()
    # The parser searches the rest of the file for the end of each unfinished tag, which takes quadratic time.
    end = page.rfind(">") + 1
    writer.feed(page[:end])
    writer.close()
    writer.handle_data(unescape(page[end:]))
    return writer.text()


class HtmlText:
    """Converts the HTML blocks of a Markdown file. An element may begin in one block and end in another."""

    def __init__(self) -> None:
        self._writer = _Writer()

    @property
    def is_hidden(self) -> bool:
        """Whether the text after the last block is in a hidden element."""
        return self._writer.is_hidden

    def begin_markdown(self) -> None:
        """Ends an open paragraph, as every block of Markdown does."""
        self._writer.end_paragraph()

    def feed_block(self, block: str) -> str:
        """Returns the visible text of the next block."""
        end = block.rfind(">") + 1
        self._writer.feed(block[:end])
        # The parser would search an unfinished tag or comment again with each block.
        if not self._writer.is_unfinished:
            self._writer.handle_data(unescape(_UNFINISHED.split(block[end:], maxsplit=1)[0]))
        return self._writer.take_text()


class _Writer(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._lines: list[str] = []
        self._line: list[str] = []
        self._hidden: list[str] = []
        self._in_code = False
        self._in_cell = False
        # The open exponents and indices: each its tag and the position in the line where it begins.
        self._scripts: list[tuple[str, int]] = []
        # The open elements msup and msub: each its kind, its number of children, and the depth below it.
        self._math: list[tuple[str, int, int]] = []

    @property
    def is_hidden(self) -> bool:
        return bool(self._hidden)

    @property
    def is_unfinished(self) -> bool:
        """Whether the parser waits for the end of a tag or a comment."""
        return self.rawdata.startswith("<")

    def take_text(self) -> str:
        """Returns the text since the last call."""
        text = self.text().strip("\n")
        self._lines = []
        return text

    def text(self) -> str:
        self._break()
        return "\n".join(self._lines)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._end_implied(tag)
        if self._hidden:
            # Elements of the same name may be nested; the hidden part ends with the outermost one.
            if tag == self._hidden[0]:
                self._hidden.append(tag)
            return
        self._start_math_child(tag)
        if tag in _HIDDEN or (tag not in _VOID and _is_hidden(tag, dict(attributes))):
            self._hidden.append(tag)
        elif tag in _HEADINGS:
            self._break(blank=True)
            self._line.append("#" * _HEADINGS[tag] + " ")
        elif tag == "pre":
            self._break(blank=True)
            self._lines.append("```")
            self._in_code = True
        elif tag in {"sup", "sub"}:
            self._scripts.append((tag, len(self._line)))
        elif tag in {"tr", "table"}:
            self._in_cell = False
            self._break(blank=tag == "table")
        elif tag in {"td", "th"}:
            self._in_cell = True
            self._line.append(" | " if self._line else "")
        elif self._in_cell and (tag in _PARAGRAPHS or tag in {"li", "br"}):
            # A row is one line, so that a number keeps the name of its row.
            self._line.append(" ")
        elif tag == "li":
            self._break()
            self._line.append("- ")
        elif tag == "br" or tag in _PARAGRAPHS:
            self._break(blank=tag != "br")

    def _start_math_child(self, tag: str) -> None:
        if self._math and tag not in _VOID:
            kind, children, depth = self._math[-1]
            if depth == 0:
                children += 1
                if children == 2:
                    self._scripts.append((kind, len(self._line)))
            self._math[-1] = (kind, children, depth + 1)
        if tag in _MATH_SCRIPTS:
            self._math.append((_MATH_SCRIPTS[tag], 0, 0))

    def _end_math_child(self, tag: str) -> None:
        if tag in _MATH_SCRIPTS and self._math:
            self._math.pop()
        if self._math:
            kind, children, depth = self._math[-1]
            self._math[-1] = (kind, children, depth - 1)
            if depth == 1 and children == 2:
                self._end_script(kind)

    def _end_script(self, tag: str) -> None:
        if self._scripts and self._scripts[-1][0] == tag:
            _, start = self._scripts.pop()
            self._line[start:] = [_raise_or_lower(tag, "".join(self._line[start:]))]

    def _end_implied(self, tag: str) -> None:
        """Ends the hidden element whose end tag may be missing before this element."""
        if self._hidden and tag == self._hidden[0] and tag in _OPTIONAL_END_TAGS:
            self._hidden.clear()
        if tag in _END_PARAGRAPHS:
            self.end_paragraph()

    def end_paragraph(self) -> None:
        """Ends a hidden paragraph."""
        if self._hidden == ["p"]:
            self._hidden.clear()

    def handle_endtag(self, tag: str) -> None:
        if tag != "p" and tag in _END_PARAGRAPHS:
            self.end_paragraph()
        if self._hidden:
            if tag == self._hidden[0]:
                self._hidden.pop()
            return
        self._end_math_child(tag)
        if tag in {"sup", "sub"}:
            self._end_script(tag)
        elif tag in {"td", "th", "tr", "table"}:
            self._in_cell = False
            if tag == "table":
                self._break(blank=True)
        elif self._in_cell and tag in _PARAGRAPHS:
            self._line.append(" ")
        elif tag == "pre" and self._in_code:
            self._break()
            self._in_code = False
            self._lines.append("```")
        elif tag in _HEADINGS or tag in _PARAGRAPHS:
            self._break(blank=True)

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        if not self._in_code:
            self._line.append(data)
            return
        first, *others = data.split("\n")
        self._line.append(first)
        for line in others:
            self._break()
            self._line.append(line)

    def _break(self, *, blank: bool = False) -> None:
        """Ends the current line."""
        line = "".join(self._line)
        self._line = []
        self._scripts.clear()
        if self._in_code:
            self._lines.append(line.rstrip())
            return
        text = " ".join(line.split())
        if text.strip("#- "):
            self._lines.append(text)
        if blank and self._lines and self._lines[-1]:
            self._lines.append("")


def _is_hidden(tag: str, attributes: dict[str, str | None]) -> bool:
    style = _STYLE_SPACE.sub("", attributes.get("style") or "").lower()
    is_closed = tag == "dialog" and "open" not in attributes
    return is_closed or "hidden" in attributes or bool(_HIDING_STYLE.search(style))


def _raise_or_lower(tag: str, text: str) -> str:
    """Returns the text of an exponent or index in Unicode, or in the notation of formulas: `x²`, `x^(a b)`."""
    text = " ".join(text.split())
    table = _SUPERSCRIPTS if tag == "sup" else _SUBSCRIPTS
    if all(ord(character) in table for character in text):
        return text.translate(table)
    # Numbers of footnotes are in brackets already.
    if text.startswith("["):
        return text
    return ("^" if tag == "sup" else "_") + (text if len(text) == 1 else f"({text})")
