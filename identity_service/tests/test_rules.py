"""Rules of people."""

from hypothesis import given
from hypothesis import strategies as st

from identity_service.people.users import rules


@given(st.text())
def test_a_name_as_it_is_compared_is_compared_as_itself(name: str) -> None:
    assert rules.canonical(rules.canonical(name)) == rules.canonical(name)


@given(st.text(st.characters(categories=["L", "N"], exclude_characters="ı")))
def test_names_that_differ_in_case_alone_are_one(name: str) -> None:
    assert rules.canonical(name.upper()) == rules.canonical(name.lower()) == rules.canonical(name)
