"""Generates the PDF chapter of the course from its Markdown source. Requires fpdf2."""

import re
from datetime import UTC, datetime
from pathlib import Path

from fpdf import FPDF

HERE = Path(__file__).parent
SOURCE = HERE / "source" / "4-living-with-the-tide.md"
PDF = HERE / "course" / "4-living-with-the-tide.pdf"

# A fixed time, so that the same source produces the same bytes.
CREATED = datetime(2026, 1, 1, tzinfo=UTC)

_A5 = (148, 210)
_FONT = "Times"
_TEXT_SIZE = 11
_LINE = 5.4
_HEADING_SIZES = {1: 20, 2: 15, 3: 12}
_LEADING = 0.5
_GAP = 2
_INDENT = 6
_HEADING = re.compile(r"(#{1,3}) (.+)")
_ITEM = re.compile(r"(-|\d+\.) (.+)")


class Chapter(FPDF):
    """A chapter on A5 pages. No paragraph is split between two pages, and no heading is at the end of one."""

    def __init__(self) -> None:
        super().__init__(format=_A5)
        self.set_margins(18, 18, 18)
        self.set_auto_page_break(auto=True, margin=16)
        # Compressed bytes would depend on the version of the compressor.
        self.set_compression(False)
        self.set_creation_date(CREATED)
        self.set_producer("Meno")
        self.set_lang("en-GB")
        self._headings: list[tuple[int, str]] = []
        self.add_page()

    def heading(self, level: int, text: str) -> None:
        """Stores a heading until the following text is written, so that both are on the same page."""
        self._headings.append((level, text))

    def paragraph(self, text: str) -> None:
        """Writes a paragraph, on the next page if it does not fit on the current one."""
        self._make_room(text, width=self.epw, gap=_GAP)
        self._lines(text)

    def item(self, mark: str, text: str) -> None:
        """Writes an item of a list with its mark."""
        self._make_room(text, width=self.epw - _INDENT, gap=_GAP / 4)
        self.cell(_INDENT, _LINE, mark)
        self._lines(text)

    def _make_room(self, text: str, *, width: float, gap: float) -> None:
        self.set_font(_FONT, size=_TEXT_SIZE)
        height = self.multi_cell(width, _LINE, text, align="L", dry_run=True, output="HEIGHT")
        assert isinstance(height, float)
        above = sum(_GAP + _HEADING_SIZES[level] * _LEADING for level, _ in self._headings)
        if self.will_page_break(above + gap + height):
            self.add_page()
        for level, title in self._headings:
            self._leave(_GAP)
            self.set_font(_FONT, style="B", size=_HEADING_SIZES[level])
            self.start_section(title, level=level - 1)
            self._lines(title, height=_HEADING_SIZES[level] * _LEADING)
        self._headings.clear()
        self._leave(gap)
        self.set_font(_FONT, size=_TEXT_SIZE)

    def _leave(self, gap: float) -> None:
        if self.get_y() > self.t_margin:
            self.ln(gap)

    def _lines(self, text: str, height: float = _LINE) -> None:
        self.multi_cell(0, height, text, align="L", new_x="LMARGIN", new_y="NEXT")


def render(markdown: str) -> bytes:
    """Returns the PDF of a text in which every line is a heading, a list item or a paragraph."""
    chapter = Chapter()
    for line in filter(None, markdown.splitlines()):
        if heading := _HEADING.fullmatch(line):
            level = len(heading[1])
            if level == 1:
                chapter.set_title(heading[2])
            chapter.heading(level, heading[2])
        elif item := _ITEM.fullmatch(line):
            chapter.item(item[1], item[2])
        else:
            chapter.paragraph(line)
    return bytes(chapter.output())


if __name__ == "__main__":
    PDF.write_bytes(render(SOURCE.read_text(encoding="utf-8")))
