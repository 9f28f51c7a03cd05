"""The page and the section of a citation are those of its excerpt."""

import pytest

from chat_service.answers.rules import to_citation
from chat_service.tests.conftest import chunk
from meno.content.v1.resources_pb2 import Chunk

METALS = "Iron rusts in damp air quickly."
GASES = "Helium is lighter than air."
ACIDS = "Vinegar contains some acetic acid."
TEXT = f"{METALS}\n\n{GASES}\n\n{ACIDS}"


@pytest.mark.parametrize(
    ("claim", "page", "section"),
    [
        (METALS, 2, "Metals"),
        (GASES, 3, "Gases"),
        (ACIDS, 5, "Acids"),
        (f"{GASES} {ACIDS}", 3, "Gases"),
        ("Nothing of the passage is quoted here.", 2, "Metals"),
    ],
)
def test_a_citation_has_the_page_and_the_section_where_its_excerpt_begins(
    claim: str, page: int, section: str
) -> None:
    places = [
        Chunk.Place(char_start=100 + TEXT.index(GASES), page=3, section="Gases"),
        Chunk.Place(char_start=100 + TEXT.index(ACIDS), page=5, section="Acids"),
    ]
    citation = to_citation(1, chunk(TEXT, page=2, section="Metals", char_start=100, places=places), claim)
    assert (citation.page, citation.section) == (page, section)
