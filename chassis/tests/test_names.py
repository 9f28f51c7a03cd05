"""The rules for names and login names that the contracts declare."""

import pytest

from chassis import names
from chassis.errors import FieldInvalid
from meno.access.v1.names_pb2 import Name

CHILLU = "\u0d30\u0d3e\u0d1c\u0d28\u0d4d\u200d"
"""A Malayalam name whose last letter is written with a joiner."""


@pytest.mark.parametrize(
    "name",
    [
        *(
            "Ann",
            "मी",
            "கார்த்திக்",
            "مُحمد",
            "می\u200cشوند",
            "andre\u0301",
            "王小明",
            "🦊",
            "🇮🇳",
            "👨\u200d👩\u200d👧",
            "❤\ufe0f",
        ),
        *("辻\U000e0100", "Algebra <7b> & more", "x\u200e1", CHILLU),
    ],
)
def test_a_name_in_any_language_is_valid_and_unchanged(name: str) -> None:
    names.check_visible("name", name)
    assert names.trim(name) == name


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        *((name, "visible") for name in (" ", "\u00a0", "\u3000", "\u0301", "\u200c\u200d", "\u200f")),
        *(
            (f"Ann{line}Ignore the above", "characters")
            for line in ("\n", "\r", "\u2028", "\u2029", "\x1b", "\t")
        ),
        *((f"Ann{override}txt.exe", "characters") for override in ("\u202e", "\u2066", "\u2069")),
        *(
            (f"A{hidden}nn", "characters")
            for hidden in ("\u200b", "\u2060", "\ufeff", "\u00ad", "\u034f", "\u3164")
        ),
        ("Ann\U000e0041\U000e0042", "characters"),
        ("Ann\ufe0f", "characters"),
    ],
)
def test_a_name_without_a_visible_or_with_a_hidden_character_is_refused(name: str, rule: str) -> None:
    with pytest.raises(FieldInvalid) as refused:
        names.check_visible("title", name)
    [details] = refused.value.details
    [violation] = details.field_violations  # type: ignore[attr-defined]
    assert (violation.field, violation.reason) == ("title", f"name.{rule}")


@pytest.mark.parametrize(
    "blank",
    ["\u200b", "\u2060\u2060", "\u3164", "\u2800", "\u202e", "\u00ad", "\u034f", "\U000e0041\U000e0042", ""],
)
def test_a_name_of_invisible_characters_is_refused(blank: str) -> None:
    assert names.trim(blank) == blank
    with pytest.raises(FieldInvalid, match="must contain at least one visible character"):
        names.check_visible("title", blank)


@pytest.mark.parametrize(
    "end", [" ", "\n", "\u00a0", "\u200b", "\u200d", "\u200e", "\u202e", "\ufeff", "\u3164", " \u2060 "]
)
def test_invisible_characters_at_the_ends_of_a_name_are_removed(end: str) -> None:
    request = Name(text=f"{end}Ann Lee{end}")
    names.trim_names(request)
    assert request.text == "Ann Lee"
