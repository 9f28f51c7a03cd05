"""Every column with a user id or a secret has a rule in `data_rights.py`."""

import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import psycopg
import pytest

from chassis.data_rights import Erase, Rules
from chassis.testing import Postgres
from deploy.gateway.contracts import descriptors
from deploy.stack.layout import SERVICES
from tests.contracts.rpcs import Declared

USER_COLUMN = re.compile(r"(^|_)user_id$|^principal$")
SECRET_COLUMN = re.compile(r"hash|secret|password|token|private|credential|_key$")

WITHOUT_RULE: Mapping[tuple[str, str], str] = {
    ("idempotency_keys", "principal"): "always erased, never exported",
}
"""The columns that need no rule, with the reason."""
NOT_SECRET: Mapping[tuple[str, str], str] = {
    ("materials", "storage_key"): "the path of a file of a class",
}
"""Exported columns that are not secrets, although their names match the pattern, with the reason."""

COLUMNS = """
SELECT table_name, column_name, is_nullable = 'YES' FROM information_schema.columns
WHERE table_schema = 'public' AND table_name NOT LIKE 'procrastinate%%' AND is_generated = 'NEVER'
"""


class Catalogue:
    """The columns of a service in its database, and the data rules of the service."""

    def __init__(self, connection: "psycopg.Connection[Any]", service: str) -> None:
        self.columns = {(table, column): nullable for table, column, nullable in connection.execute(COLUMNS)}
        self.rules: Rules = import_module(f"{service}.data_rights").RULES


@pytest.fixture(scope="module", params=SERVICES)
def catalogue(postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[Catalogue]:
    url = postgres.create(request.param)
    with psycopg.connect(url) as connection:
        yield Catalogue(connection, request.param)
    postgres.drop(url)


def test_every_column_with_a_user_id_has_a_rule(catalogue: Catalogue) -> None:
    user_columns = {(table, column) for table, column in catalogue.columns if USER_COLUMN.search(column)}
    assert user_columns == {(rule.name, rule.column) for rule in catalogue.rules.rules} | (
        WITHOUT_RULE.keys() & catalogue.columns.keys()
    )


def test_no_secret_is_exported(catalogue: Catalogue) -> None:
    exported = {rule.name: rule for rule in catalogue.rules.rules if not rule.not_exported}
    secret = {
        (table, column)
        for table, column in catalogue.columns
        if table in exported and SECRET_COLUMN.search(column) and (table, column) not in NOT_SECRET
    }
    assert {
        (table, column) for table, column in secret if column not in exported[table].excluded_columns
    } == set()


def test_excluded_columns_exist_and_kept_rows_have_a_reason(catalogue: Catalogue) -> None:
    for rule in catalogue.rules.rules:
        assert all((rule.name, column) in catalogue.columns for column in rule.excluded_columns)
        assert bool(rule.reason_kept) == (rule.erase is Erase.KEEP)
    assert all(catalogue.rules.excluded_columns().values())


def test_only_nullable_columns_are_cleared(catalogue: Catalogue) -> None:
    cleared = {(rule.name, rule.column) for rule in catalogue.rules.rules if rule.erase is Erase.CLEAR}
    assert {column for column in cleared if not catalogue.columns[column]} == set()


def test_a_column_without_a_rule_is_detected(postgres: Postgres) -> None:
    url = postgres.create("session_service")
    with psycopg.connect(url) as connection:
        connection.execute("ALTER TABLE sessions ADD tutor_user_id uuid")
        with pytest.raises(AssertionError):
            test_every_column_with_a_user_id_has_a_rule(Catalogue(connection, "session_service"))
    postgres.drop(url)


def test_private_responses_contain_only_data_of_the_caller() -> None:
    declared = Declared(descriptors().read_bytes())
    private = [
        service for service in SERVICES if import_module(f"{service}.data_rights").RULES.private_responses
    ]
    assert set(private) == {"session_service", "chat_service"}
    contexts = tuple(f"meno.{service.removesuffix('_service')}.v1." for service in private)
    writes = [
        rpc for rpc in declared.rpcs() if any(field.name == "request_id" for field in rpc.request.field)
    ]
    rpcs = [rpc for rpc in writes if rpc.name.startswith(contexts)]
    assert {rpc.name for rpc in rpcs for grant in rpc.grants if not grant.owner} == set()
    names = {field.name for rpc in rpcs for _, field in declared.within(rpc.answer)}
    assert {name for name in names if name.endswith("user_id")} <= {"user_id"}
