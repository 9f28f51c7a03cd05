"""The sample course matches its questions, and its PDF matches the source."""

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

SAMPLE = Path(__file__).parents[2] / "deploy" / "demo" / "sample"
COURSE = SAMPLE / "course"
PDF = COURSE / "4-living-with-the-tide.pdf"
SOURCE = SAMPLE / "source" / "4-living-with-the-tide.md"
QUESTIONS: dict[str, list[dict[str, Any]]] = tomllib.loads(
    (SAMPLE / "questions.toml").read_text(encoding="utf-8")
)

_HEADING = re.compile(r"^#{1,3} (.+)$", re.MULTILINE)


def _words(text: str) -> list[str]:
    return text.split()


def _join_lines(text: str) -> str:
    return " ".join(_words(text))


@cache
def _sections(file: Path) -> dict[str | int, str]:
    """Returns the text under each heading of a Markdown file, or on each page of a PDF."""
    if file.suffix == ".pdf":
        pages = PdfReader(file).pages
        return {number: _join_lines(page.extract_text()) for number, page in enumerate(pages, start=1)}
    _, *parts = _HEADING.split(file.read_text(encoding="utf-8"))
    return {heading: _join_lines(text) for heading, text in zip(parts[::2], parts[1::2], strict=True)}


def _course_text() -> str:
    files = sorted(path for path in COURSE.iterdir() if path.suffix in {".md", ".pdf"})
    return "\n".join(text for file in files for text in _sections(file).values())


def test_the_course_has_at_least_3000_words() -> None:
    assert len(_words(_course_text())) >= 3_000


def test_no_heading_occurs_twice_in_a_chapter() -> None:
    for file in COURSE.glob("*.md"):
        headings = _HEADING.findall(file.read_text(encoding="utf-8"))
        assert len(headings) == len(set(headings)), file.name


def test_there_are_twelve_answered_and_six_unanswered_questions() -> None:
    assert {kind: len(entries) for kind, entries in QUESTIONS.items()} == {"answered": 12, "unanswered": 6}


@pytest.mark.parametrize("entry", QUESTIONS["answered"], ids=lambda entry: entry["question"])
def test_the_answering_sentence_is_complete_in_its_section(entry: dict[str, Any]) -> None:
    section = entry["page"] if "page" in entry else entry["section"]
    text = _sections(COURSE / entry["file"])[section]

    before, found, after = text.partition(entry["sentence"])

    assert found
    assert not before or before.endswith((". ", "? ", ": "))
    assert not after or after.startswith(" ")


@pytest.mark.parametrize("entry", QUESTIONS["answered"], ids=lambda entry: entry["question"])
def test_the_answering_sentence_occurs_only_once(entry: dict[str, Any]) -> None:
    assert _course_text().count(entry["sentence"]) == 1


@pytest.mark.parametrize("entry", QUESTIONS["unanswered"], ids=lambda entry: entry["question"])
def test_the_course_does_not_contain_the_answer_to_an_unanswered_question(entry: dict[str, Any]) -> None:
    words = {word.casefold() for word in re.findall(r"\w+", _course_text())}

    assert entry["answer_words"]
    assert not words & {word.casefold() for word in entry["answer_words"]}


def test_the_pdf_contains_the_words_of_its_source_in_order() -> None:
    source = re.sub(r"^#+ ", "", SOURCE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    pages = PdfReader(PDF).pages

    assert len(pages) >= 3
    assert _words("\n".join(page.extract_text() for page in pages)) == _words(source)


def test_pdf_headings_have_their_own_lines_and_none_ends_a_page() -> None:
    headings = set(_HEADING.findall(SOURCE.read_text(encoding="utf-8")))
    pages = [page.extract_text().strip().splitlines() for page in PdfReader(PDF).pages]

    assert headings <= {line for lines in pages for line in lines}
    assert not headings & {lines[-1] for lines in pages}


def test_every_page_of_the_pdf_ends_with_a_sentence() -> None:
    for page in PdfReader(PDF).pages:
        assert page.extract_text().rstrip().endswith(".")
