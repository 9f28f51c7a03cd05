"""Rules and text functions, tested without a database."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content_service.authoring.messages import kind_of
from content_service.authoring.rules import LESSON, MATERIAL, MODULE, can_be_child_of
from content_service.knowledge.rules import MAX_QUERY_CHARACTERS, normalize_query
from content_service.knowledge.text import normalize, to_compatibility_form
from content_service.materials.ingestion import rules
from content_service.materials.ingestion.html import to_markdown
from meno.content.v1.resources_pb2 import ContentBody, FailureReason

VISIBLE = st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"])


def test_the_permitted_parents_of_each_kind() -> None:
    kinds = (MODULE, LESSON, MATERIAL)
    assert {
        (kind, parent) for kind in kinds for parent in (None, *kinds) if can_be_child_of(kind, parent)
    } == {
        (MODULE, None),
        (LESSON, None),
        (LESSON, MODULE),
    }


def test_the_body_decides_the_kind() -> None:
    assert kind_of(ContentBody(module=ContentBody.Module())) == MODULE
    assert kind_of(ContentBody(lesson=ContentBody.Lesson())) == LESSON
    assert kind_of(ContentBody(material=ContentBody.MaterialFile())) == MATERIAL
    with pytest.raises(ValueError, match="no kind"):
        kind_of(ContentBody())


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_progress_never_decreases(count: int, done: int) -> None:
    stages = (rules.EXTRACTING, rules.CHUNKING, rules.EMBEDDING)
    steps = [rules.progress_percent(stage) for stage in stages]
    steps += [
        rules.progress_percent(rules.EMBEDDING, part, count) for part in sorted({0, min(done, count), count})
    ]
    steps.append(rules.progress_percent(rules.FINALIZING))
    assert steps == sorted(steps)
    assert steps[0] > 0
    assert steps[-1] < 100


def test_every_failure_reason_has_a_message() -> None:
    assert rules.failure_reason("LIMITS_EXCEEDED") == "TEXT_TOO_LONG"
    assert rules.failure_message("LIMITS_EXCEEDED").endswith(".")
    for name in FailureReason.keys()[1:]:
        assert rules.failure_message(name.removeprefix("FAILURE_REASON_")).endswith(".")


@given(st.text(max_size=200))
def test_normalization_is_idempotent(text: str) -> None:
    once = normalize(text)
    assert normalize(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert unicodedata.is_normalized("NFKC", to_compatibility_form(once))
    assert not {"\r", "\0", "\u200b", "\u202e", "\ufeff"} & {*once}
    assert "\n\n\n" not in once


@pytest.mark.parametrize(
    ("text", "compared"),
    [
        ("3×10⁸ m·s⁻¹", "3×108 m·s−1"),
        ("an area of 25 m² and 10³ cubes", "an area of 25 m2 and 103 cubes"),
        ("2½ cups, step ①, 20 ℃, Ａ４", "21⁄2 cups, step 1, 20 °C, A4"),
        ("می\u200cشوند", "میشوند"),
        ("ശരിയാണ\u200d്", "ശരിയാണ്"),
        ("ප\u200d්\u200dරකාශ", "ප්රකාශ"),
        ("\u1820\u180b", "\u1820"),
        ("👩\u200d🏫 ❤\ufe0f\u200d🔥 1\ufe0f\u20e3", "👩🏫 ❤🔥 1\u20e3"),
    ],
)
def test_a_text_keeps_its_characters_and_is_compared_without_their_forms(text: str, compared: str) -> None:
    assert normalize(text) == text
    assert to_compatibility_form(text) == compared


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("e\u0301", "é"),
        ("\ufb01nally, e\ufb00ect", "finally, effect"),
        ("\ufedf\ufe8e", "لا"),
        ("wo\u200drd wo\u200crd wo\ufe0frd 1\ufe0f2", "word word word 12"),
        ("می\u200c\u200d\u200cشوند", "میشوند"),
        ("one\u2028two\u2029three\x85four\x0bfive\ffix\rseven", "one\ntwo\nthree\nfour\nfive\nfix\nseven"),
    ],
)
def test_a_text_loses_glyph_forms_and_characters_that_hide_something(text: str, normalized: str) -> None:
    assert normalize(text) == normalized


@given(st.text(VISIBLE, max_size=60), st.sampled_from(["\u200b", "\u00ad", "\u2060", "\x07"]))
def test_invisible_characters_do_not_change_a_text(text: str, hidden: str) -> None:
    assert normalize(hidden.join(text)) == normalize(text)


@pytest.mark.parametrize(("marks", "start"), [("\u0301", "á"), ("\u0344", "ä"), ("\u0301\u0323", "ạ")])
def test_a_run_of_combining_characters_is_limited(marks: str, start: str) -> None:
    text = normalize("a" + marks * 100_000 + "b")
    assert len(text) == 31
    assert (text[0], text[-1]) == (start, "b")
    assert normalize(text) == text


@given(st.text(max_size=3000))
def test_a_query_is_normalized_and_shortened(text: str) -> None:
    query = normalize_query(text)
    assert len(query) <= MAX_QUERY_CHARACTERS
    assert query == query.strip()
    assert query in normalize(text[:MAX_QUERY_CHARACTERS])


@given(st.text(max_size=500))
def test_a_script_is_never_extracted(page: str) -> None:
    assert to_markdown(f"<script>let x</script>{page}") == to_markdown(page)


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("a<b>b</b>c &lt;d&gt; &amp;amp;", "abc <d> &amp;"),
        ("<h3>Head <i>line</i></h3>text", "### Head line\n\ntext"),
        ("<p>one<p>two<br>three", "one\n\ntwo\nthree"),
        ("<ul><li>one<li>two</ul>", "- one\n- two\n"),
        ("<table><tr><th>a<th>b<tr><td>1<td>2</table>", "a | b\n1 | 2\n"),
        ("<pre>  x\n\n    y</pre>z", "```\n  x\n\n    y\n```\nz"),
        ("<div hidden>a<div>b</div>c</div>d", "d"),
        ("<p hidden>a<p>b", "b"),
        ("<p hidden>a<div>b</div>", "b"),
        ("<section><p hidden>a</section>b", "b"),
        ("<p hidden>a <b>b</b></p>c", "c"),
        ("<p STYLE='Display : None'>a</p>b", "b"),
        ("<p style='display:\n\tnone'>a</p><p style='color:red;visibility/**/:collapse'>b</p>c", "c"),
        (
            "<p style='font-size:.0em'>a</p><p style='color:transparent'>b</p><p style='opacity:.05'>c</p>",
            "c",
        ),
        ("<p style='border-color:transparent'>a</p><p style='--display:none'>b</p>", "a\n\nb"),
        ("<template><p>a</p></template>b<svg><text>c</text></svg>", "b"),
        ("<dialog>a</dialog><dialog open>b</dialog><datalist><p>c</p></datalist><video>d</video>", "b"),
        ("<!-- a --><?b?><![CDATA[c]]>d", "d"),
        ("<img alt=a hidden>b<input hidden>c", "bc"),
        ("<li></li><h1></h1><p> </p>", ""),
        ("<p style='font-size: 0px'>a</p><p style='opacity:0'>b</p><p style='opacity:0.9'>c</p>", "c"),
        ("<table><tr><td><p>Lisbon</p></td><td><p>12<br>m</p></td></tr></table>d", "Lisbon | 12 m\n\nd"),
        ("10<sup>23</sup> m<sup>-1</sup> H<sub>2</sub>O a<sup>m</sup>", "10²³ m⁻¹ H₂O aᵐ"),
        ("x<sup>A</sup> y<sup>A 2</sup> word<sup>[1]</sup> z<sub>Ω</sub>", "x^A y^(A 2) word[1] z_Ω"),
        (
            "<math><msup><mi>c</mi><mn>2</mn></msup><mo>+</mo><msub><mi>a</mi><mi>i</mi></msub></math>",
            "c²+aᵢ",
        ),
        ("<math><msup><mi>e</mi><mrow><mo>-</mo><mi>x</mi></mrow></msup></math>!", "e⁻ˣ!"),
    ],
)
def test_html_is_converted_to_its_visible_text(page: str, text: str) -> None:
    assert to_markdown(page).strip("\n") == text.strip("\n")
