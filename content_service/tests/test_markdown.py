"""Markdown: the headings of CommonMark, and only the text that a reader sees."""

import pytest

from content_service.materials.ingestion.markdown import read_markdown

BINARY = "iVBORw0KGgo" * 3000


def read_headings(text: str) -> list[tuple[int, str]]:
    """Returns the levels and the texts of the headings; asserts that their offsets are right."""
    extracted = read_markdown(text)
    for offset, _, title in extracted.headings:
        line = extracted.text[offset:].partition("\n")[0]
        assert title.partition(" ")[0] in line
    return [(level, title) for _, level, title in extracted.headings]


@pytest.mark.parametrize(
    ("text", "headings"),
    [
        ("# Rocks\n\nText.\n\n## Lava ##\n\nText.", [(1, "Rocks"), (2, "Lava")]),
        ("Rocks\n=====\n\nText.\n\nLava\n---\n\nText.", [(1, "Rocks"), (2, "Lava")]),
        ("Long\ntitle\n===\n\nText.", [(1, "Long title")]),
        ("---\n# a comment\ntitle: Rocks\n---\n\n## Lava\n\nText.", [(2, "Lava")]),
        ("# Rocks\n\n<!-- For teachers\n# Key\n-->\n\nText.\n\n# Lava", [(1, "Rocks"), (1, "Lava")]),
        ("# Rocks <!-- old -->\n\nText.", [(1, "Rocks")]),
        ("# Rocks <b hidden>of the key</b>\n\nText.", [(1, "Rocks")]),
        ("~~~\n# code\n~~~\n\n    # code\n\n# Rocks", [(1, "Rocks")]),
        ("1. A step\n\n   ```\n   # code\n   ```\n\n> # A quotation\n\n# Rocks", [(1, "Rocks")]),
        ("<div hidden>\n\n# Key\n\n</div>\n\n# Rocks", [(1, "Rocks")]),
        ("[a]: b\n\n# Rocks\n\n[c]: d\n\n# Lava", [(1, "Rocks"), (1, "Lava")]),
        ("#hashtag\n\n---\n\nText.", []),
    ],
)
def test_the_headings_are_those_of_commonmark(text: str, headings: list[tuple[int, str]]) -> None:
    assert read_headings(text) == headings


@pytest.mark.parametrize(
    ("text", "visible"),
    [
        ("---\nanswer: ninety\n---\n\nText.", "Text."),
        ("---\n\nText.\n\n---\n\nMore.", "---\n\nText.\n\n---\n\nMore."),
        ("One.\n\n<!-- secret -->\n\nTwo.", "One.\n\nTwo."),
        ("One <!-- secret --> two.", "One  two."),
        ("> One <!-- secret\n> secret --> two.", "> One  two."),
        ("`<!-- shown -->` and \\<!-- shown -->", "`<!-- shown -->` and \\<!-- shown -->"),
        ("```\n<!-- shown -->\n```", "```\n<!-- shown -->\n```"),
        ("One.\n\n[//]: # (secret)\n[a]: http://b 'secret'\n\nTwo.", "One.\n\nTwo."),
        ("One.\n\n<div hidden>secret</div>\n\nTwo.", "One.\n\nTwo."),
        ("One.\n\n<div style='display:none'>\n\nsecret\n\n</div>\n\nTwo.", "One.\n\nTwo."),
        ("One.\n\n<script>secret</script>\n\nTwo.", "One.\n\nTwo."),
        (
            "<details>\n<summary>One</summary>\nTwo &amp; three.\n\nFour.\n\n</details>",
            "One\n\nTwo & three.\n\nFour.",
        ),
        ("<div>\nOne < two\n\nthree.\n\n</div>", "One < two\n\nthree."),
        ("<div hidden>\nsecret\n\n</div>\nOne", "One"),
        ("One.\n\n<!-- a > secret", "One."),
        ("<p hidden>secret\n\nOne.", "One."),
        ("<p>One</p> two <b title='secret", "One\n\ntwo"),
        ("One <span hidden>secret <b>key</b></span>two.", "One two."),
        ("One <span title='>' style='display:none'>secret</span>two.", "One two."),
        ("One <b hidden>secret <!-- key --> `</b>`</b>two.", "One two."),
        ("One <script>secret</script>two.", "One two."),
        ("One <span hidden>secret\n\nTwo.", "One \n\nTwo."),
        ("`<b hidden>` and \\<b hidden>shown</b>", "`<b hidden>` and \\<b hidden>shown</b>"),
        ("One <b>two</b> <img src=a hidden> three", "One <b>two</b> <img src=a hidden> three"),
        ("<p>One&#x202e;&#xE0041;&#8203; two&#173;s e&#x301;</p>", "One twos é"),
        ("<p>One <b>two</b><!-- secret --></p>\n\nThree.", "One two\n\nThree."),
        (f"One.\n\n![a rock](data:image/png;base64,{BINARY})\n\nTwo.", "One.\n\n![a rock]()\n\nTwo."),
        (f"One ![a rock][1].\n\n[1]: <data:image/png;base64,{BINARY}>", "One ![a rock][1]."),
        (f"The key {BINARY} opens.", f"The key {BINARY[:32]}… opens."),
        ("", ""),
        ("if a<b and c>d then $a_1 * b_2$ \\(x\\)", "if a<b and c>d then $a_1 * b_2$ \\(x\\)"),
    ],
)
def test_a_text_contains_only_its_visible_parts(text: str, visible: str) -> None:
    assert read_markdown(text).text == visible
