"""Sanitised tutor output, for any text and any split into pieces."""

import itertools
import re
import unicodedata
from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from chat_service.answers.rules import CitationTracker, Part, find_quote, join_text
from chat_service.answers.sanitizer import OutputSanitizer
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
HOSTS = [
    "http",
    "https://evil.com",
    "www",
    "www.",
    "WWW.",
    "javascript:",
    "mailto:a@b",
    "evil.com",
    "e.py",
    "@",
]
ENTITIES = [
    *"&#;@",
    "&#58;",
    "&colon;",
    "&#x2F;",
    "&#119;",
    "&#46;",
    "&commat;",
    "&lsqb;",
    "&#93",
    "amp;",
    "&lt;",
]
MARKERS = [
    "【1】",
    "［2］",
    "[1, 2]",
    "[¹]",
    "[\u200b3]",
    "[^1]",
    "[1–3]",
    "\\[3\\]",
    "9" * 45,
    *"【】［］,¹^–",
]
TEX = ["\\", "\\href", "\\includegraphics", "\\sin", "href", "{"]
INVISIBLE = ["\u200b", "\u2060", "\u202e", "\u00ad", "\ufeff", "\u200d"]
WORDS = ["a", "b", "é", "\ud83d", "x" * 40, "Iron melts. ", "It freezes at zero degrees. "]
BITS = st.sampled_from(
    [*PUNCTUATION, *NUMBERS, *TAGS, *LINKS, *HOSTS, *ENTITIES, *MARKERS, *TEX, *INVISIBLE, *WORDS]
)
TEXTS = st.lists(BITS | st.text(max_size=6), max_size=30).map("".join)

# GFM with all that clients enable: HTML, and links for addresses without a scheme.
MARKDOWN = MarkdownIt("gfm-like", {"html": True, "linkify": True})
# The extended autolinks of GFM. remark-gfm searches the text for them after it has decoded references and escapes.
GFM_ADDRESS = re.compile(
    r"(?:https?://|ftp://|www\.)[\w-]|[\w.+-]+@[\w-]+\.[\w-]|(?:mailto|xmpp):\S+@\S", re.I | re.ASCII
)
_MARK = r"[^\w\s\[\]【】［］〔〕/@&]"
MARKER = re.compile(rf"[\[【［〔](?:{_MARK}*[\d¹])+{_MARK}*[\]】］〕]")

TEX_LINK = re.compile(r"\\(?:href|includegraphics)(?![A-Za-z])")

LINKS_AFTER_DECODING = [
    "https&#58;//evil.com",
    "https&colon;//evil.com",
    "https:&#47;/evil.com",
    "&#119;ww.evil.com",
    "www&#46;evil.com",
    "https:\\/\\/evil.com",
    "www\\.evil.com",
    "admin&#64;evil.com",
    "//evil.com/x",
    "a@evil.com",
    "mailto:a@evil.com",
    "xmpp:a@evil.com",
    "evil.com/login",
    "https:\u200b//evil.com",
    "https:/\u2060/evil.com",
    "<https://evil.com>",
    "<a@evil.com>",
    "ftp://evil.com",
]
FAKE_MARKERS = [
    "\\[3\\]",
    "\\[4]",
    "&#91;3&#93;",
    "&lsqb;3]",
    "【1】",
    "［1］",
    "[1, 2]",
    "[1–3]",
    "[¹]",
    "[^1]",
    "[4]",
    "[\u200b4]",
    "[4\u200d]",
    "[" + "9" * 45 + "]",
]


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


def render(text: str) -> Iterable[Token]:
    """Yields all tokens that Markdown renders, block and inline."""
    for token in MARKDOWN.parse(text):
        yield token
        yield from token.children or ()


def visible_text(text: str) -> str:
    """Returns the text that a reader sees, with decoded references and escapes."""
    return "".join(
        token.content if token.type in ("text", "code_inline", "fence", "code_block") else "\n"
        for token in render(text)
        if token.type not in ("inline", "text_special")
    )


@given(TEXTS)
@example("\n".join(LINKS_AFTER_DECODING))
@example("[a](http://e.com) ![b](http://e.com/i.png)\n\n[c]\n\n[c]: http://e.com\n\n<b>d</b>")
def test_the_rendered_output_contains_no_links_images_or_html(text: str) -> None:
    out = text_of(parts_of(text))
    types = {token.type for token in render(out)}
    assert types.isdisjoint({"link_open", "image", "html_inline", "html_block"}), out
    assert not GFM_ADDRESS.search(visible_text(out)), out


@given(TEXTS)
@example("$\\href{javascript:alert(1)}{x}$")
def test_formulas_in_the_output_contain_no_links_or_images(text: str) -> None:
    assert not TEX_LINK.search(text_of(parts_of(text)))


@pytest.mark.parametrize("text", LINKS_AFTER_DECODING)
def test_an_address_is_no_link_and_keeps_its_words(text: str) -> None:
    out = text_of(parts_of(f"See {text} now."))
    assert not any(token.type == "link_open" for token in render(out))
    assert not GFM_ADDRESS.search(visible_text(out))
    assert "evil. com" in out


@given(TEXTS)
@example("\U000e0000")
def test_no_word_is_lost(text: str) -> None:
    sanitizer = OutputSanitizer(passages=0)
    out = "".join(map(str, sanitizer.feed(text) + sanitizer.finish()))
    assert words_only(out) == words_only(text)


def words_only(text: str) -> str:
    """Returns a text without white space, control characters and characters without a glyph."""
    # The block of tags, which is removed, contains unassigned characters (Cn) as well.
    without_glyph = ("Cc", "Cf", "Cs", "Cn")
    return "".join(c for c in text if not c.isspace() and unicodedata.category(c) not in without_glyph)


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
@example(" ".join(FAKE_MARKERS))
def test_readers_see_no_other_numbers_in_brackets(text: str) -> None:
    parts = parts_of(text)
    numbers = {f"[{part.number}]" for part in parts if isinstance(part, Citation)}
    assert {marker[0] for marker in MARKER.finditer(visible_text(text_of(parts)))} <= numbers


@pytest.mark.parametrize("text", FAKE_MARKERS)
def test_a_number_without_a_passage_is_no_marker_and_keeps_its_words(text: str) -> None:
    parts = parts_of(f"So it is {text}.")
    assert not MARKER.search(visible_text(text_of(parts)))
    assert re.findall(r"\d|¹", text_of(parts)) == re.findall(r"\d|¹", text)


@given(TEXTS)
def test_an_excerpt_is_a_range_of_its_passage(text: str) -> None:
    for part in parts_of(text):
        if isinstance(part, Citation):
            [source] = [chunk for chunk in CHUNKS if chunk.chunk_id == part.chunk_id]
            start, end = part.char_start - source.char_start, part.char_end - source.char_start
            assert source.text[start:end] == part.excerpt != ""


@given(
    st.text(
        st.characters(exclude_characters="[]<&/@.!\\［【〔〖⟦", exclude_categories=["Cs", "Cc", "Cf", "Cn"])
    )
)
def test_plain_text_is_unchanged(text: str) -> None:
    assert text_of(parts_of(text)) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A [2] b [1] c [2].", "A [1] b [2] c [1]."),
        ("So [4], so [0] and [99999999999999999999].", "So [ 4 ], so [ 0 ] and [ 99999999999999999999 ]."),
        ("[1][2]", "[1][2]"),
        ("Unterminated [1", "Unterminated [1"),
        ("[[1]]", "[[1]]"),
        ("[[9]1]", "[[ 9 ]1]"),
        ("Great![1]", "Great! [1]"),
        ("As in [1]: so", "As in [1] : so"),
        ("x ![alt](http://e.com/?q=secret) y", "x ! [alt] (http:// e. com/?q=secret) y"),
        ("![a][r] [r]: http://e", "! [a][r] [r] : http:// e"),
        ("See [1](https://e.org).", "See [1] (https:// e. org)."),
        ("See [the page](/page).", "See [the page] (/page)."),
        ("At https://e.org/a?b=c, or www.e.org.", "At https:// e. org/a?b=c, or www. e. org."),
        ("<script>alert(1)</script>", "< script>alert(1)< /script>"),
        ("<<b>script>", "<< b>script>"),
        ("a < b, 1<2, List<int>", "a < b, 1<2, List< int>"),
        ("If a<b and c>d then a.", "If a< b and c>d then a."),
        ("The element <strong> marks words.", "The element < strong> marks words."),
        ("Write #include <stdio.h> first.", "Write #include < stdio.h> first."),
        ("p -> q, $5, 3.14 and e.g. U.S.A.", "p -> q, $5, 3.14 and e.g. U.S.A."),
        ("Node.js, os.path and @property", "Node.js, os.path and @property"),
        ("AT&T, R&D and a && b", "AT&T, R&D and a && b"),
        ("\\[ x^2 \\] and \\(y\\)", "\\[ x^2 \\] and \\(y\\)"),
        ("[1, 2] and x[0:2]", "[ 1, 2 ] and x[ 0:2 ]"),
        ("$\\href{x}{y}\\url{x}\\htmlClass{a}{b}$", "$\\ href{x}{y}\\ url{x}\\ htmlClass{a}{b}$"),
        ("\\frac{1}{2} \\displaystyle \\hrefs \\\\href", "\\frac{1}{2} \\displaystyle \\hrefs \\\\ href"),
        ("می\u200cشوند 👩\u200d🏫", "می\u200cشوند 👩\u200d🏫"),
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


@pytest.mark.parametrize(
    "sentence",
    [
        "If a<b and c>d then the sum is compared.",
        "The type List<String> holds the names of pupils.",
        "The book cites the study [12] of three finches.",
        "Visit https://example.org/atlas for the atlas of the oceans.",
    ],
)
def test_a_quotation_in_which_spaces_were_inserted_keeps_its_excerpt(sentence: str) -> None:
    tracker = CitationTracker([chunk(f"Before it is this. {sentence} After it is that.")])
    parts = tracker.feed(f"{sentence} [1]") + tracker.finish()
    assert [part.excerpt for part in parts if isinstance(part, Citation)] == [sentence]
