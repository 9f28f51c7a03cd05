"""Sanitised tutor output, for any text and any split into pieces."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat_service.answers.rules import CitationTracker, Part, find_quote, join_text
from chat_service.tests.conftest import chunk
from meno.chat.v1.resources_pb2 import Citation

PASSAGES = 3
CHUNKS = [
    chunk("Water boils at a hundred degrees. It freezes at zero degrees.\nSalt changes\nboth of these. Yes."),
    chunk("Iron melts. Gold melts at a lower heat than iron."),
    chunk("[1] See <b>there</b>: https://example.com/x."),
]

# Fragments of malicious texts, so that random texts contain many incomplete constructs.
PUNCTUATION = [*"[]()!<>/:.\\ \n\0", "//", "://", "![", "](", "]:", "?q=", "<!--", "-->"]
NUMBERS = ["[1]", "[2]", "[3]", "[4]", "[0]", "[01]", "[١]", "[12", "1]", "1", "23"]
TAGS = ["<b>", "</b>", "<script>", "<img src=x>", "<http://e.com>"]
LINKS = ["![a](http://e.com/i.png)", "[a](https://e.com)", "[b](/relative)", "[c]: http://e.com", "hTTp://x"]
HOSTS = ["http", "https://evil.com", "www", "www.", "WWW.", "javascript:", "mailto:a@b"]
WORDS = ["a", "b", "é", "\ud83d", "x" * 40, "Iron melts. ", "It freezes at zero degrees. "]
BITS = st.sampled_from([*PUNCTUATION, *NUMBERS, *TAGS, *LINKS, *HOSTS, *WORDS])
TEXTS = st.lists(BITS | st.text(max_size=6), max_size=30).map("".join)


def parts_of(*pieces: str) -> list[Part]:
    """Returns the parts of an answer whose text arrives in these pieces."""
    tracker = CitationTracker(CHUNKS)
    return join_text([part for piece in pieces for part in tracker.feed(piece)] + tracker.finish())


def text_of(parts: list[Part]) -> str:
    return "".join(part for part in parts if isinstance(part, str))


@given(TEXTS, st.data())
def test_the_output_does_not_depend_on_the_split_into_pieces(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    edges = [0, *cuts, len(text)]
    pieces = [text[start:end] for start, end in itertools.pairwise(edges)]
    assert parts_of(*pieces) == parts_of(text)
    assert parts_of(*text) == parts_of(text)


@given(
    st.sampled_from(["[", "![", "[a](", "[a](http:", "![a](", "<", "<b ", "http://", "www.", "[1](", "x"]),
    st.sampled_from([32, 100, 300, 1000, 1001]),
    st.integers(-3, 3),
    st.sampled_from(["a", "1", ".", ".a", "(b)"]),
    st.sampled_from(["]", ")", ">", "](http://e)", "://e.com", " ", ""]),
    st.integers(0, 1100),
)
def test_the_output_does_not_depend_on_the_split_at_maximum_lengths(
    opener: str, bound: int, more: int, filling: str, closer: str, cut: int
) -> None:
    text = opener + (filling * bound)[: bound + more] + closer + " [2]"
    assert parts_of(text[:cut], text[cut:]) == parts_of(text)
    assert parts_of(*text) == parts_of(text)


@given(TEXTS)
def test_the_output_contains_no_images_links_tags_or_control_characters(text: str) -> None:
    out = text_of(parts_of(text))
    for forbidden in (r"!\[", r"\]\(", r"\]:", r"<[A-Za-z/!?]", "://", r"www\.", "[\0\ud800-\udfff]"):
        assert not re.search(forbidden, out, re.I), (forbidden, out)


@given(TEXTS)
def test_every_number_in_the_output_follows_its_citation(text: str) -> None:
    seen: list[int] = []
    out = ""
    for part in parts_of(text):
        if isinstance(part, Citation):
            seen.append(part.number)
        else:
            out += part
            assert {int(number) for number in re.findall(r"\[(\d+)\]", out)} <= {*seen}
    assert seen == [*range(1, len(seen) + 1)]
    assert seen == [*dict.fromkeys(int(number) for number in re.findall(r"\[(\d+)\]", out))]


@given(TEXTS)
def test_an_excerpt_is_a_range_of_its_passage(text: str) -> None:
    for part in parts_of(text):
        if isinstance(part, Citation):
            [source] = [chunk for chunk in CHUNKS if chunk.chunk_id == part.chunk_id]
            start, end = part.char_start - source.char_start, part.char_end - source.char_start
            assert source.text[start:end] == part.excerpt != ""


@given(st.text(st.characters(blacklist_characters="[]<>!:.\r", blacklist_categories=["Cs", "Cc"])))
def test_plain_text_is_unchanged(text: str) -> None:
    assert text_of(parts_of(text)) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A [2] b [1] c [2].", "A [1] b [2] c [1]."),
        ("So [4], so [0] and [99999999999999999999].", "So , so  and ."),
        ("[1][2]", "[1][2]"),
        ("Unterminated [1", "Unterminated [1"),
        ("[[1]]", "[[1]]"),
        ("[[9]1]", "[1 ]"),
        ("[<b>1]", "[1 ]"),
        ("Great![1]", "Great! [1]"),
        ("x ![alt](http://e.com/?q=secret) y", "x  y"),
        ("![a][r] [r]: http://e.com", "! [a][r] [r] : …"),
        ("See [the site](https://e.com/a(b)c).", "See the site."),
        ("See [1](https://e.com).", "See 1."),
        ("See [the page](/page).", "See [the page] (/page)."),
        ("At https://e.com/a?b=c, or www.e.com.", "At …, or …."),
        ("<script>alert(1)</script>", "alert(1)"),
        ("<<b>script>", "< script>"),
        ("ht<b></b>tp://e.com", "ht…"),
        ("a < b, 1<2, List<int>", "a < b, 1<2, List"),
        ("cut <img src=x onerror=y", "cut < img src=x onerror=y"),
        ("[1, 2] and x[0:2]", "[1, 2] and x[0:2]"),
    ],
)
def test_examples(text: str, expected: str) -> None:
    assert text_of(parts_of(text)) == expected


@pytest.mark.parametrize(
    ("claim", "excerpt"),
    [
        ("It freezes at zero degrees. ", "It freezes at zero degrees."),
        ("As we read: Salt changes both of these. ", None),
        ("Salt changes both of these. Water boils at a hundred degrees. ", 0),
        ("Water is hot when it boils. ", None),
        ("Yes. ", None),
    ],
)
def test_an_excerpt_is_the_verbatim_quote_or_else_the_whole_passage(
    claim: str, excerpt: str | int | None
) -> None:
    passage = CHUNKS[0].text
    start, end = find_quote(claim, passage)
    if excerpt == 0:
        assert passage[start:end] == passage.removesuffix(" Yes.")
    else:
        assert passage[start:end] == (excerpt or passage)
