"""Chunking: chunks and windows contain the whole text and respect every limit."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from content_service.knowledge.tokenizer import minilm_tokenizer
from content_service.materials.ingestion.chunking import (
    MAX_BLOCK_CHARACTERS,
    MAX_CHARACTERS_PER_TOKEN,
    Sections,
    add_context,
    split_blocks,
    split_chunks,
    split_windows,
)
from content_service.materials.ingestion.types import ChunkDraft, ChunkLimits, ExtractedText

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


def alphanumeric(text: str) -> str:
    """Returns the letters and digits of a text."""
    return "".join(character for character in text if character.isalnum())


@settings(max_examples=60)
@given(texts, st.booleans())
def test_chunks_contain_the_whole_text_in_order(text: str, markdown: bool) -> None:
    found = split_chunks(ExtractedText(text), ChunkLimits(TOKENS, 0), markdown=markdown)
    assert alphanumeric("".join(chunk.text for chunk in found)) == alphanumeric(text)
    ends = [0] + [chunk.char_end for chunk in found]
    for end, chunk in zip(ends, found, strict=False):
        assert end <= chunk.char_start < chunk.char_end
        assert text[chunk.char_start : chunk.char_end] == chunk.text


@settings(max_examples=60)
@given(texts, st.booleans(), st.sampled_from([0, TOKENS // 2]))
def test_a_chunk_respects_the_limits_of_tokens_and_characters(
    text: str, markdown: bool, overlap: int
) -> None:
    found = split_chunks(ExtractedText(text), ChunkLimits(TOKENS, overlap), markdown=markdown)
    for chunk in found:
        assert len(TOKENIZER.encode(chunk.text, add_special_tokens=False).ids) <= TOKENS
        assert len(chunk.text) <= TOKENS * MAX_CHARACTERS_PER_TOKEN
    assert [chunk.char_start for chunk in found] == sorted({chunk.char_start for chunk in found})


@pytest.mark.parametrize("unit", ["x", "ก", "水", "> ", "# a\n", "* _", "[a](b", "\n", "ab. "])
def test_a_text_of_one_repeated_unit_is_split(unit: str) -> None:
    text = unit * (3 * MAX_BLOCK_CHARACTERS // 2 // len(unit))
    found = split_chunks(ExtractedText(text), ChunkLimits(200, 0), markdown=True)
    assert alphanumeric("".join(chunk.text for chunk in found)) == alphanumeric(text)
    assert max((len(chunk.text) for chunk in found), default=0) <= 200 * MAX_CHARACTERS_PER_TOKEN


@given(st.text(st.sampled_from("ab #\n"), max_size=50), st.integers(1, 2000))
def test_the_concatenation_of_the_blocks_is_the_text(text: str, times: int) -> None:
    whole = text * times
    cut = [*split_blocks(whole)]
    assert "".join(block for _, block in cut) == whole
    assert [whole[start : start + len(block)] for start, block in cut] == [block for _, block in cut]
    assert max(len(block) for _, block in cut) <= MAX_BLOCK_CHARACTERS
    assert len(cut) <= 1 + 2 * len(whole) // MAX_BLOCK_CHARACTERS


def test_blocks_of_a_long_text_begin_at_headings() -> None:
    chapter = "# A chapter\n\n" + "Some words. " * 500
    assert [block for _, block in split_blocks("\n".join([chapter] * 3))] == [
        chapter,
        f"\n{chapter}",
        f"\n{chapter}",
    ]


@given(
    st.lists(
        st.tuples(st.integers(0, 99), st.integers(1, 6), st.sampled_from(["", "A", "B", "C"])), max_size=12
    )
)
def test_the_section_is_the_path_of_headings_above_a_position(headings: list[tuple[int, int, str]]) -> None:
    headings.sort(key=lambda heading: heading[0])
    sections = Sections(headings)
    for position in range(100):
        above = [heading for heading in headings if heading[0] <= position]
        path = [
            title
            for number, (_, level, title) in enumerate(above)
            if title and all(later > level for _, later, _ in above[number + 1 :])
        ]
        assert sections.path_at(position) == " › ".join(path)


@settings(max_examples=8)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=6))
def test_the_page_of_a_chunk_is_the_page_where_it_begins(lengths: list[int]) -> None:
    pages = ["page" + " word" * length for length in lengths]
    starts = [sum(len(page) + 2 for page in pages[:number]) for number in range(len(pages))]
    text = "\n\n".join(pages)
    for chunk in split_chunks(ExtractedText(text, starts), ChunkLimits(TOKENS, 0), markdown=False):
        assert chunk.page == len([start for start in starts if start <= chunk.char_start])


def places_of(chunk: ChunkDraft) -> list[tuple[int, int, str]]:
    return [(chunk.char_start, chunk.page, chunk.section), *chunk.places]


def test_a_chunk_has_the_pages_that_begin_in_it() -> None:
    pages = [f"Slide {number} is about subject {number}." for number in range(1, 7)]
    starts = [sum(len(page) + 2 for page in pages[:number]) for number in range(len(pages))]
    text = "\n\n".join(pages)
    [chunk] = split_chunks(ExtractedText(text, starts), ChunkLimits(200, 0), markdown=False)
    assert places_of(chunk) == [(start, page, "") for page, start in enumerate(starts, 1)]


def test_a_chunk_has_the_sections_that_begin_in_it() -> None:
    text = "Before.\n\n# Metals\n\nIron rusts.\n\n## Light metals\n\nTin.\n\n# Gases\n\nHelium rises."
    titles = [(1, "Metals"), (2, "Light metals"), (1, "Gases")]
    headings = [(text.index(f"{'#' * level} {title}"), level, title) for level, title in titles]
    [chunk] = split_chunks(ExtractedText(text, headings=headings), ChunkLimits(200, 0), markdown=True)
    assert places_of(chunk) == [
        (0, 0, ""),
        (headings[0][0], 0, "Metals"),
        (headings[1][0], 0, "Metals › Light metals"),
        (headings[2][0], 0, "Gases"),
    ]


def test_the_places_of_a_chunk_are_limited() -> None:
    text = "# a\n" * 1000
    headings = [(4 * number, 1, "a") for number in range(1000)]
    chunks = split_chunks(ExtractedText(text, headings=headings), ChunkLimits(200, 0), markdown=True)
    assert max(len(chunk.places) for chunk in chunks) < 16
    assert [start for chunk in chunks for start, _, _ in places_of(chunk)] == [
        start for start, _, _ in headings
    ]


@given(st.lists(st.sampled_from(["A sentence. ", "What? ", "no end ", "\n"]), max_size=200).map("".join))
def test_windows_contain_the_whole_chunk(text: str) -> None:
    windows = split_windows(text, 100)
    assert alphanumeric("".join(windows)) == alphanumeric(text)
    assert all(window and window == window.strip() for window in windows)
    assert len(windows) <= max(1, -(-len(text) // 100))


def test_a_window_is_embedded_under_its_section() -> None:
    assert add_context("", "words") == "words"
    assert add_context("Plants › Leaves", "words") == "Plants › Leaves\nwords"
    assert len(add_context("x" * 500, "words")) < 200
