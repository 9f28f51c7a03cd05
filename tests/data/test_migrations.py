"""Migrations create the tables of `tables.py` and remove them again, and the tables can be sharded."""

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
"""Changes after which a schema differs from the declared one."""


@contextmanager
def empty_database(postgres: Postgres) -> Iterator[tuple[str, "psycopg.Connection[Any]"]]:
    """Yields the URL of a database without tables, and a connection to it."""
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
    """The schema of a migrated database of one service."""
    url = postgres.create(service)
    with psycopg.connect(url) as connection:
        yield Schema(connection)
    postgres.drop(url)


def test_migrations_run_forward_and_back_and_forward_again(postgres: Postgres, service: str) -> None:
    with empty_database(postgres) as (url, connection):
        schema = Schema(connection)
        migrations.upgrade(service, url)
        migrated = schema.all_objects()
        migrations.downgrade(service, url)
        downgraded = schema.all_objects()
        migrations.upgrade(service, url)
        assert schema.all_objects() == migrated
        assert downgraded == set()
        assert len(migrated) > len(schema.tables()) > 0


def test_migrations_create_the_declared_tables(postgres: Postgres, service: str, schema: Schema) -> None:
    with empty_database(postgres) as (url, connection):
        engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"), poolclass=pool.NullPool)
        import_module(f"{service}.tables").METADATA.create_all(engine)
        assert Schema(connection).service_objects() == schema.service_objects()


def test_a_different_schema_is_detected(postgres: Postgres) -> None:
    url = postgres.create("chat_service")
    with psycopg.connect(url) as connection:
        before = Schema(connection).service_objects()
        for change in CHANGES:
            connection.execute(change.encode())
            assert Schema(connection).service_objects() != before, change
            connection.rollback()
    postgres.drop(url)


def test_every_primary_key_begins_with_a_distribution_key(schema: Schema) -> None:
    assert {index.table for index in schema.unique_indexes() if index.primary} == schema.tables()
    assert {
        table for table, key in schema.distribution_keys().items() if key not in DISTRIBUTION_KEYS
    } == set()


def test_every_unique_index_contains_the_distribution_key(schema: Schema) -> None:
    """A unique index of a sharded table must contain the distribution key, because each shard has its own index."""
    keys = schema.distribution_keys()
    assert [i for i in schema.unique_indexes() if i.table in keys and keys[i.table] not in i.columns] == []


def test_every_reference_table_exists() -> None:
    declared = [import_module(f"{service}.tables").METADATA.tables for service in SERVICES]
    assert {name for tables in declared for name in tables} >= REFERENCE.keys()
