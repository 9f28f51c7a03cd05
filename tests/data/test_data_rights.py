"""No column that names a person, and none that holds a secret, is without a rule."""

import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import psycopg
import pytest

from chassis.data_rights import Erase, Rules
from chassis.testing import Postgres
from deploy.stack.layout import SERVICES

NAMES_A_PERSON = re.compile(r"(^|_)user_id$|^principal$")
HOLDS_A_SECRET = re.compile(r"hash|secret|password|token|private|credential|_key$")

BY_THE_CHASSIS: Mapping[tuple[str, str], str] = {
    ("idempotency_keys", "principal"): "always forgotten, never told",
}
"""Columns that need no rule, and why."""
NO_SECRETS: Mapping[tuple[str, str], str] = {
    ("materials", "storage_key"): "where a file of a class lies",
}
"""Columns of tables that are told whose names only sound like secrets."""

COLUMNS = """
SELECT table_name, column_name, is_nullable = 'YES' FROM information_schema.columns
WHERE table_schema = 'public' AND table_name NOT LIKE 'procrastinate%%' AND is_generated = 'NEVER'
"""


class Catalogue:
    """What the database itself says of a service's columns."""

    def __init__(self, connection: "psycopg.Connection[Any]", service: str) -> None:
        self.columns = {(table, column): nullable for table, column, nullable in connection.execute(COLUMNS)}
        self.rules: Rules = import_module(f"{service}.data_rights").RULES


@pytest.fixture(scope="module", params=SERVICES)
def catalogue(postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[Catalogue]:
    url = postgres.create(request.param)
    with psycopg.connect(url) as connection:
        yield Catalogue(connection, request.param)
    postgres.drop(url)


def test_every_column_that_names_a_person_has_a_rule(catalogue: Catalogue) -> None:
    named = {place for place in catalogue.columns if NAMES_A_PERSON.search(place[1])}
    assert named == {(rule.name, rule.column) for rule in catalogue.rules.rules} | (
        BY_THE_CHASSIS.keys() & catalogue.columns.keys()
    )


def test_no_secret_is_told(catalogue: Catalogue) -> None:
    told = {rule.name: rule for rule in catalogue.rules.rules if not rule.not_exported}
    secret = {
        (table, column)
        for table, column in catalogue.columns
        if table in told and HOLDS_A_SECRET.search(column) and (table, column) not in NO_SECRETS
    }
    assert {
        (table, column) for table, column in secret if column not in told[table].excluded_columns
    } == set()


def test_what_is_withheld_or_kept_has_a_reason_and_exists(catalogue: Catalogue) -> None:
    for rule in catalogue.rules.rules:
        assert all((rule.name, column) in catalogue.columns for column in rule.excluded_columns)
        assert bool(rule.reason_kept) == (rule.erase is Erase.KEEP)
    assert all(catalogue.rules.excluded_columns().values())


def test_only_what_may_be_empty_is_cleared(catalogue: Catalogue) -> None:
    cleared = {(rule.name, rule.column) for rule in catalogue.rules.rules if rule.erase is Erase.CLEAR}
    assert {place for place in cleared if not catalogue.columns[place]} == set()


def test_a_column_without_a_rule_is_noticed(postgres: Postgres) -> None:
    url = postgres.create("session_service")
    with psycopg.connect(url) as connection:
        connection.execute("ALTER TABLE sessions ADD tutor_user_id uuid")
        with pytest.raises(AssertionError):
            test_every_column_that_names_a_person_has_a_rule(Catalogue(connection, "session_service"))
    postgres.drop(url)
