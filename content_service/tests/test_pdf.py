"""The text of PDF files: annotations, and the direction of text."""

from pathlib import Path
from typing import Any

import pytest
from pypdf.generic import ArrayObject, DictionaryObject, NameObject, PdfObject, TextStringObject

from content_service.materials.ingestion.pdf import read_pages
from content_service.materials.ingestion.right_to_left import repair
from content_service.materials.ingestion.types import TextLimits
from content_service.tests.pdf import annotated

LIMITS = TextLimits(max_characters=1000, max_pages=1)
HIDDEN, PRINT, NO_VIEW = 2, 4, 32
ANSWER = "Condensation turns vapour into droplets"


@pytest.mark.parametrize("subtype", ["/Widget", "/FreeText", "/Stamp"])
@pytest.mark.parametrize("shown", [{"appearance": ANSWER}, {"contents": ANSWER}])
@pytest.mark.parametrize("flags", [0, PRINT])
def test_the_text_of_a_form_field_a_text_box_or_a_stamp_is_read(
    tmp_path: Path, subtype: str, shown: dict[str, Any], flags: int
) -> None:
    file = tmp_path / "worksheet.pdf"
    file.write_bytes(annotated(subtype, flags=flags, **shown))
    assert read_pages(file, LIMITS) == [ANSWER]


@pytest.mark.parametrize(
    ("subtype", "flags"), [("/Widget", HIDDEN), ("/FreeText", NO_VIEW | PRINT), ("/Text", 0), ("/Link", 0)]
)
def test_an_annotation_that_the_page_does_not_show_is_not_read(
    tmp_path: Path, subtype: str, flags: int
) -> None:
    file = tmp_path / "worksheet.pdf"
    file.write_bytes(annotated(subtype, appearance=ANSWER, contents=ANSWER, flags=flags))
    assert read_pages(file, LIMITS) == [""]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (TextStringObject(ANSWER), ANSWER),
        (ArrayObject([TextStringObject("Rain"), TextStringObject("Snow")]), "Rain\nSnow"),
        (NameObject("/Off"), "Field"),
        (DictionaryObject({NameObject("/Reason"): TextStringObject("I approve this document")}), "Field"),
    ],
)
def test_the_value_of_a_form_field_is_read_if_it_is_text(tmp_path: Path, value: PdfObject, text: str) -> None:
    file = tmp_path / "worksheet.pdf"
    file.write_bytes(annotated("/Widget", contents="Field", value=value))
    assert read_pages(file, LIMITS) == [text]


ARABIC = "القلب يضخ الدم في الشرايين"
HEBREW = "הלב מזרים דם בעורקים"


@pytest.mark.parametrize(
    ("read", "repaired"),
    [
        (ARABIC[::-1], ARABIC),
        (HEBREW[::-1], HEBREW),
        (" אוה קחרמה384 רטמוליק", "המרחק הוא 384 קילומטר"),
        (f"Page 1\n{HEBREW[::-1]}\nEnd", f"Page 1\n{HEBREW}\nEnd"),
        (ARABIC, ARABIC),
        (HEBREW, HEBREW),
        # Without evidence, the text stays as it is.
        ("בלה", "בלה"),
        ("Tides 1939", "Tides 1939"),
    ],
)
def test_reversed_right_to_left_text_is_repaired(read: str, repaired: str) -> None:
    assert repair(read) == repaired


def test_long_runs_are_repaired_in_linear_time() -> None:
    """The timeout of a test is far longer than linear time and far shorter than backtracking."""
    for text in ("א " * 200_000, "א" + " " * 400_000, "םא" * 200_000, "1 א" * 200_000):
        assert len(repair(text)) == len(text)
