"""Rules of classes and of erasures."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import pytest

from identity_service.classes import rules
from identity_service.classes.types import ClassChanges, ClassRow
from identity_service.lifecycle.erasures import rules as erasure_rules
from identity_service.lifecycle.erasures.types import ErasureProgress, ReceiptRow
from meno.access.v1.access_pb2 import ClassState

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CLASS = ClassRow("c", "Algebra", "Rings", "K7M2-9QXA", "OPEN", 1, NOW, NOW, None, None)


def test_a_join_code_has_eight_random_characters_in_two_halves() -> None:
    characters = iter("K7M29QXA")
    assert rules.new_join_code(lambda alphabet: next(characters)) == "K7M2-9QXA"


@pytest.mark.parametrize("character", "0O1IL")
def test_join_codes_contain_no_characters_that_look_alike(character: str) -> None:
    def choose(alphabet: str) -> str:
        assert character not in alphabet
        return alphabet[0]

    rules.new_join_code(choose)


@pytest.mark.parametrize("typed", ["K7M2-9QXA", "k7m29qxa", " k7m2 9qxa ", "K7M2\u20139QXA"])
def test_a_join_code_is_normalized(typed: str) -> None:
    assert rules.normalize_join_code(typed) == "K7M2-9QXA"


@pytest.mark.parametrize(
    ("row", "state", "matches"),
    [
        (CLASS, ClassState.CLASS_STATE_ACTIVE, True),
        (CLASS._replace(join_policy="APPROVAL"), ClassState.CLASS_STATE_ACTIVE, True),
        (CLASS._replace(join_policy="CLOSED"), ClassState.CLASS_STATE_ACTIVE, False),
        (CLASS._replace(join_code="AAAA-AAAA"), ClassState.CLASS_STATE_ACTIVE, False),
        (CLASS._replace(archived_at=NOW), ClassState.CLASS_STATE_ARCHIVED, False),
        (CLASS._replace(archived_at=NOW, deleted_at=NOW), ClassState.CLASS_STATE_DELETED, False),
    ],
)
def test_only_an_active_and_open_class_matches_its_join_code(
    row: ClassRow, state: ClassState.ValueType, matches: bool
) -> None:
    assert (rules.state(row), rules.matches_join_code(row, "K7M2-9QXA")) == (state, matches)


def test_changes_replace_only_the_given_fields() -> None:
    assert rules.apply_changes(CLASS, ClassChanges()) == ("Algebra", "Rings", "OPEN")
    assert rules.apply_changes(CLASS, ClassChanges(description="")) == ("Algebra", "", "OPEN")
    changes = ClassChanges("Analysis", "Limits", "CLOSED")
    assert rules.apply_changes(CLASS, changes) == ("Analysis", "Limits", "CLOSED")


@pytest.mark.parametrize("missing", [[], ["chat_service"], ["content_service", "session_service"]])
def test_an_erasure_is_complete_at_the_time_of_the_last_receipt(missing: Collection[str]) -> None:
    services = sorted(erasure_rules.SERVICES - {*missing})
    receipts = [
        ReceiptRow(service, 1, NOW + timedelta(minutes=minute)) for minute, service in enumerate(services)
    ]
    expected = None if missing else NOW + timedelta(minutes=3)
    assert erasure_rules.completed_at(ErasureProgress("u", NOW, receipts)) == expected
