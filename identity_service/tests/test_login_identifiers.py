"""The canonical form of login identifiers."""

from hypothesis import given
from hypothesis import strategies as st

from identity_service.people.users import rules


@given(st.text())
def test_the_canonical_form_of_a_canonical_identifier_is_itself(name: str) -> None:
    assert rules.canonicalize(rules.canonicalize(name)) == rules.canonicalize(name)


@given(st.text(st.characters(categories=["L", "N"], exclude_characters="ı")))
def test_the_canonical_form_ignores_case(name: str) -> None:
    assert rules.canonicalize(name.upper()) == rules.canonicalize(name.lower()) == rules.canonicalize(name)
