"""Extraction of headings from Markdown."""

from pathlib import Path

import pytest

from content_service.materials.ingestion.extraction import extract, join_pages
from content_service.materials.ingestion.types import SourceFile, TextLimits
from content_service.materials.rules import MARKDOWN

LIMITS = TextLimits(max_characters=2_000_000, max_pages=1)
LONG = 200_000


def extract_headings(path: Path, text: str) -> list[str]:
    """Returns the texts of the headings."""
    path.write_text(text)
    return [title for _, _, title in extract(SourceFile(path, MARKDOWN), LIMITS).headings]


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ("# Tides", "Tides"),
        ("## Tides ##  ", "Tides"),
        ("# C#", "C#"),
        ("# Spring *and* neap", "Spring and neap"),
        ("### [Tides](http://example.org) of `today`", "Tides of today"),
        ("# ![A picture](a.png) of it", "A picture of it"),
        ("# #", ""),
    ],
)
def test_a_heading_is_extracted_without_its_markup(tmp_path: Path, line: str, title: str) -> None:
    assert extract_headings(tmp_path / "file", f"{line}\n\nText.") == [title]


@pytest.mark.parametrize(
    "line",
    [
        "# a" + " " * LONG + "x",
        "# a" + " #" * LONG + "x",
        "# " + "[" * LONG,
        "# " + "[](" * LONG,
        "# " + "*a" * LONG,
        "# " + "`" * LONG,
        "#" * LONG,
        "\n" + " " * LONG + "x",
    ],
)
def test_every_line_is_parsed_in_linear_time(tmp_path: Path, line: str) -> None:
    """The timeout of a test is far longer than linear time and far shorter than backtracking."""
    assert len(extract_headings(tmp_path / "file", f"{line}\n\nText.")) <= 1


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("Die Grö-\nße", "Die Größe"),
        ("Äus\u00ad\närste", "Äusärste"),
        ("photo\u2010\nsynthesis", "photosynthesis"),
        ("Baden-\nWürttemberg", "Baden-\nWürttemberg"),
        ("1939-\n1945", "1939-\n1945"),
    ],
)
def test_a_word_that_is_divided_at_the_end_of_a_line_is_joined(page: str, text: str) -> None:
    assert join_pages([page]).text == text
