"""Migrations lead to what `tables.py` declares, and back; what is declared can be spread over machines."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, pool

from chassis import migrations
from chassis.testing import Postgres
from deploy.stack.layout import SERVICES
from tests.data.schema import DISTRIBUTION_KEYS, REFERENCE, Schema

CHANGES = [
    "ALTER TABLE chat_messages DROP CONSTRAINT chat_messages_lease_check",
    "ALTER TABLE chat_messages ALTER COLUMN text DROP DEFAULT",
    "ALTER TABLE chat_messages ALTER COLUMN text DROP NOT NULL",
    "ALTER TABLE chat_messages ALTER COLUMN sequence TYPE integer",
    "ALTER TABLE chat_messages ADD COLUMN title text GENERATED ALWAYS AS (left(text, 10)) STORED",
    "ALTER TABLE chat_messages RENAME COLUMN text TO words",
    "ALTER TABLE chats ADD CONSTRAINT chats_last_fkey FOREIGN KEY (user_id, chat_id) REFERENCES chats",
    "CREATE INDEX chat_messages_text_idx ON chat_messages (lower(text))",
    "CREATE TABLE drafts (draft_id uuid PRIMARY KEY)",
    "CREATE TYPE mood AS ENUM ('good')",
    "CREATE FUNCTION one() RETURNS integer LANGUAGE sql RETURN 1",
    "DROP INDEX chat_messages_sequence_key",
]
"""What would make a schema another."""


@contextmanager
def empty(postgres: Postgres) -> Iterator[tuple[str, "psycopg.Connection[Any]"]]:
    """A database as a service's owner gets it, and a connection to it."""
    url = postgres.create_empty()
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION vector")
            yield url, connection
    finally:
        postgres.drop(url)


@pytest.fixture(scope="module", params=SERVICES)
def service(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def schema(postgres: Postgres, service: str) -> Iterator[Schema]:
    """Of a service's database."""
    url = postgres.create(service)
    with psycopg.connect(url) as connection:
        yield Schema(connection)
    postgres.drop(url)


def test_migrations_lead_back_to_nothing_and_forth_again(postgres: Postgres, service: str) -> None:
    with empty(postgres) as (url, connection):
        schema = Schema(connection)
        migrations.upgrade(service, url)
        there = schema.everything()
        migrations.downgrade(service, url)
        nothing = schema.everything()
        migrations.upgrade(service, url)
        assert schema.everything() == there
        assert nothing == set()
        assert len(there) > len(schema.tables()) > 0


def test_migrations_make_the_tables_that_are_declared(
    postgres: Postgres, service: str, schema: Schema
) -> None:
    with empty(postgres) as (url, connection):
        engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"), poolclass=pool.NullPool)
        import_module(f"{service}.tables").Base.metadata.create_all(engine)
        assert Schema(connection).own() == schema.own()


def test_a_schema_that_differs_is_noticed(postgres: Postgres) -> None:
    url = postgres.create("chat_service")
    with psycopg.connect(url) as connection:
        before = Schema(connection).own()
        for change in CHANGES:
            connection.execute(change.encode())
            assert Schema(connection).own() != before, change
            connection.rollback()
    postgres.drop(url)


def test_the_key_of_every_table_begins_with_whose_it_is(schema: Schema) -> None:
    assert {index.table for index in schema.unique() if index.primary} == schema.tables()
    assert {
        table for table, key in schema.distribution_keys().items() if key not in DISTRIBUTION_KEYS
    } == set()


def test_what_is_unique_is_unique_for_one_person_or_class(schema: Schema) -> None:
    """Across machines, a unique index holds only where it contains the distribution key."""
    keys = schema.distribution_keys()
    assert [i for i in schema.unique() if i.table in keys and keys[i.table] not in i.columns] == []


def test_every_reference_table_exists() -> None:
    declared = [import_module(f"{service}.tables").Base.metadata.tables for service in SERVICES]
    assert {name for tables in declared for name in tables} >= REFERENCE.keys()
