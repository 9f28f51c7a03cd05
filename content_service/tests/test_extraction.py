"""Headings: what they say, whatever stands in the line."""

from pathlib import Path

import pytest

from content_service.materials.ingestion.extraction import extract
from content_service.materials.ingestion.rules import Limits
from content_service.materials.rules import MARKDOWN

LIMITS = Limits(max_characters=2_000_000, max_pages=1)
LONG = 200_000


def headings(path: Path, text: str) -> list[str]:
    """The words of every heading in a text."""
    path.write_text(text)
    return [words for _, _, words in extract(MARKDOWN, path, LIMITS).headings]


@pytest.mark.parametrize(
    ("line", "words"),
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
def test_a_heading_says_its_words_alone(tmp_path: Path, line: str, words: str) -> None:
    assert headings(tmp_path / "file", f"{line}\n\nText.") == [words]


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
def test_no_line_takes_long(tmp_path: Path, line: str) -> None:
    """The time that a test may take is far above what is needed, and far below what backtracking takes."""
    assert len(headings(tmp_path / "file", f"{line}\n\nText.")) <= 1
