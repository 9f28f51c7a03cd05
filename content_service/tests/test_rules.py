"""Rules that need nothing but values: contents, progress, texts and questions."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content_service.authoring.rules import LESSON, MATERIAL, MODULE, kind_of, may_stand
from content_service.knowledge.rules import MAX_QUERY, query_of
from content_service.materials.ingestion import rules
from content_service.materials.ingestion.extraction import normalised
from content_service.materials.ingestion.html import markdown_of
from meno.content.v1.content_service_pb2 import Body
from meno.content.v1.material_service_pb2 import FailureReason

VISIBLE = st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"])


def test_what_may_stand_under_what() -> None:
    kinds = (MODULE, LESSON, MATERIAL)
    assert {(kind, parent) for kind in kinds for parent in (None, *kinds) if may_stand(kind, parent)} == {
        (MODULE, None),
        (LESSON, None),
        (LESSON, MODULE),
    }


def test_a_body_tells_the_kind() -> None:
    assert kind_of(Body(module=Body.Module())) == MODULE
    assert kind_of(Body(lesson=Body.Lesson())) == LESSON
    assert kind_of(Body(material=Body.MaterialFile())) == MATERIAL
    with pytest.raises(ValueError, match="no kind"):
        kind_of(Body())


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_progress_never_falls(count: int, done: int) -> None:
    stages = (rules.EXTRACTING, rules.CHUNKING, rules.EMBEDDING)
    steps = [rules.percent(stage) for stage in stages]
    steps += [rules.percent(rules.EMBEDDING, part, count) for part in sorted({0, min(done, count), count})]
    steps.append(rules.percent(rules.FINALIZING))
    assert steps == sorted(steps)
    assert steps[0] > 0
    assert steps[-1] < 100


def test_every_failure_tells_the_teacher_what_to_do() -> None:
    for name in FailureReason.keys()[1:]:
        assert rules.sentence(name.removeprefix("FAILURE_REASON_")).endswith(".")


@given(st.text(max_size=200))
def test_a_text_has_one_form(text: str) -> None:
    once = normalised(text)
    assert normalised(once) == once
    assert unicodedata.is_normalized("NFKC", once)
    assert not {"\r", "\0", "\u200b", "\u202e", "\ufeff"} & {*once}
    assert "\n\n\n" not in once


@given(st.text(VISIBLE, max_size=60), st.sampled_from(["\u200b", "\u00ad", "\u2060", "\x07"]))
def test_what_nobody_sees_makes_no_difference(text: str, hidden: str) -> None:
    assert normalised(hidden.join(text)) == normalised(text)


@given(st.text(max_size=3000))
def test_a_question_is_stored_text_as_far_as_it_counts(text: str) -> None:
    query = query_of(text)
    assert len(query) <= MAX_QUERY
    assert query == query.strip()
    assert query in normalised(text[:MAX_QUERY])


@given(st.text(max_size=500))
def test_a_script_is_never_text_whatever_follows_it(page: str) -> None:
    assert markdown_of(f"<script>let x</script>{page}") == markdown_of(page)


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
        ("<p STYLE='Display : None'>a</p>b", "b"),
        ("<template><p>a</p></template>b<svg><text>c</text></svg>", "b"),
        ("<!-- a --><?b?><![CDATA[c]]>d", "d"),
        ("<img alt=a hidden>b<input hidden>c", "bc"),
        ("<li></li><h1></h1><p> </p>", ""),
    ],
)
def test_a_web_page_as_it_is_shown(page: str, text: str) -> None:
    assert markdown_of(page).strip("\n") == text.strip("\n")
