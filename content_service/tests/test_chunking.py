"""Texts become passages, and passages become windows: nothing is lost, and every bound holds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.models.embeddings import minilm_tokenizer
from content_service.materials.ingestion.chunking import (
    MAX_BLOCK,
    MAX_CHARACTERS_A_TOKEN,
    Sections,
    blocks,
    passages,
    windows,
    with_context,
)
from content_service.materials.ingestion.extraction import Extracted

TOKENS = 50
TOKENIZER = minilm_tokenizer()

words = st.sampled_from(
    [
        "river",
        "délta",
        "🙂",
        "水",
        "x" * 300,
        "don't",
        "1.5",
        "\n",
        "\n\n",
        "\n# Head\n",
        "\n- ",
        "```\n",
        ". ",
        " ",
    ]
)
texts = st.lists(words, max_size=300).map(" ".join)


def said(text: str) -> str:
    """What of a text is heard when it is read aloud."""
    return "".join(character for character in text if character.isalnum())


@settings(max_examples=60)
@given(texts, st.booleans())
def test_passages_hold_the_whole_text_in_its_order(text: str, markdown: bool) -> None:
    found = passages(Extracted(text), markdown=markdown, tokens=TOKENS, overlap=0)
    assert said("".join(passage.text for passage in found)) == said(text)
    ends = [0] + [passage.char_end for passage in found]
    for end, passage in zip(ends, found, strict=False):
        assert end <= passage.char_start < passage.char_end
        assert text[passage.char_start : passage.char_end] == passage.text


@settings(max_examples=60)
@given(texts, st.booleans(), st.sampled_from([0, TOKENS // 2]))
def test_a_passage_is_no_longer_than_it_may_be(text: str, markdown: bool, overlap: int) -> None:
    found = passages(Extracted(text), markdown=markdown, tokens=TOKENS, overlap=overlap)
    for passage in found:
        assert len(TOKENIZER.encode(passage.text, add_special_tokens=False).ids) <= TOKENS
        assert len(passage.text) <= TOKENS * MAX_CHARACTERS_A_TOKEN
    assert [passage.char_start for passage in found] == sorted({passage.char_start for passage in found})


@pytest.mark.parametrize("unit", ["x", "ก", "水", "> ", "# a\n", "* _", "[a](b", "\n", "ab. "])
def test_a_text_that_repeats_one_thing_is_cut_too(unit: str) -> None:
    text = unit * (3 * MAX_BLOCK // 2 // len(unit))
    found = passages(Extracted(text), markdown=True, tokens=200, overlap=0)
    assert said("".join(passage.text for passage in found)) == said(text)
    assert max((len(passage.text) for passage in found), default=0) <= 200 * MAX_CHARACTERS_A_TOKEN


@given(st.text(st.sampled_from("ab #\n"), max_size=50), st.integers(1, 2000))
def test_blocks_are_the_text(text: str, times: int) -> None:
    whole = text * times
    cut = [*blocks(whole)]
    assert "".join(block for _, block in cut) == whole
    assert [whole[start : start + len(block)] for start, block in cut] == [block for _, block in cut]
    assert max(len(block) for _, block in cut) <= MAX_BLOCK
    assert len(cut) <= 1 + 2 * len(whole) // MAX_BLOCK


def test_a_long_text_falls_apart_at_its_headings() -> None:
    chapter = "# A chapter\n\n" + "Some words. " * 500
    assert [block for _, block in blocks("\n".join([chapter] * 3))] == [
        chapter,
        f"\n{chapter}",
        f"\n{chapter}",
    ]


@given(
    st.lists(
        st.tuples(st.integers(0, 99), st.integers(1, 6), st.sampled_from(["", "A", "B", "C"])), max_size=12
    )
)
def test_the_section_is_the_path_of_headings_above(headings: list[tuple[int, int, str]]) -> None:
    headings.sort(key=lambda heading: heading[0])
    sections = Sections(headings)
    for position in range(100):
        above = [heading for heading in headings if heading[0] <= position]
        path = [
            words
            for number, (_, level, words) in enumerate(above)
            if words and all(later > level for _, later, _ in above[number + 1 :])
        ]
        assert sections.at(position) == " › ".join(path)


@settings(max_examples=8)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=6))
def test_a_passage_is_on_the_page_on_which_it_begins(lengths: list[int]) -> None:
    pages = ["page" + " word" * length for length in lengths]
    starts = [sum(len(page) + 2 for page in pages[:number]) for number in range(len(pages))]
    text = "\n\n".join(pages)
    for passage in passages(Extracted(text, starts), markdown=False, tokens=TOKENS, overlap=0):
        assert passage.page == len([start for start in starts if start <= passage.char_start])


@given(st.lists(st.sampled_from(["A sentence. ", "What? ", "no end ", "\n"]), max_size=200).map("".join))
def test_windows_hold_the_whole_passage(text: str) -> None:
    parts = windows(text, 100)
    assert said("".join(parts)) == said(text)
    assert all(part and part == part.strip() for part in parts)
    assert len(parts) <= max(1, -(-len(text) // 100))


def test_a_window_names_its_subject() -> None:
    assert with_context("", "words") == "words"
    assert with_context("Plants › Leaves", "words") == "Plants › Leaves\nwords"
    assert len(with_context("x" * 500, "words")) < 200
