"""Statements, transactions and the connection pool."""

import asyncio
from typing import NamedTuple

import psycopg
import pytest
from sqlalchemy import (
    BigInteger,
    Column,
    Table,
    Text,
    bindparam,
    column,
    func,
    insert,
    null,
    select,
    table,
    update,
)

from chassis.database import Database, statement
from chassis.errors import ServiceUnavailable, to_status_error
from chassis.tests.tables import ADD_NOTE, COUNT, METADATA, NOTES, notes

DEFAULTED = Table(
    "defaulted",
    METADATA,
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    Column("value", Text, default="from Python", onupdate="from Python too"),
)


class NoteRow(NamedTuple):
    note_id: int
    text: str


def test_constructs_that_fail_silently_are_rejected_at_import() -> None:
    with pytest.raises(ValueError, match="server_default"):
        statement(insert(DEFAULTED).values(key=bindparam("key")))
    with pytest.raises(ValueError, match="server_default"):
        statement(update(DEFAULTED).values(key=bindparam("key")))
    with pytest.raises(ValueError, match="any_"):
        statement(select(notes.c.text).where(notes.c.text.in_(bindparam("texts", expanding=True))))
    with pytest.raises(ValueError, match="null"):
        statement(update(notes).values(text=None))
    statement(update(notes).values(text=null()))


async def test_literals_are_merged_with_the_parameters_of_a_call(database: Database) -> None:
    literal = statement(
        select(notes.c.text).where(notes.c.user_id == "a", notes.c.text == bindparam("text")), str
    )
    async with database.transaction() as transaction:
        await transaction.run(ADD_NOTE, user_id="a", text="x")
    assert await database.all(literal, text="x") == ["x"]


async def test_rows_have_the_declared_type(database: Database) -> None:
    rows = statement(select(notes.c.note_id, notes.c.text), NoteRow)
    async with database.transaction() as transaction:
        assert await transaction.run(ADD_NOTE, user_id="a", text="x") == 1
        assert await transaction.one(rows) == NoteRow(1, "x")
    assert await database.one(COUNT) == 1


async def test_a_transaction_that_raises_is_rolled_back(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as transaction:
            await transaction.run(ADD_NOTE, user_id="a", text="x")
            raise ZeroDivisionError
    assert await database.one(COUNT) == 0


async def test_a_cancelled_transaction_is_rolled_back_and_its_connection_is_reused(
    database: Database,
) -> None:
    started = asyncio.Event()

    async def hang() -> None:
        async with database.transaction() as transaction:
            await transaction.run(ADD_NOTE, user_id="a", text="x")
            started.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hang())
    await started.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await database.one(COUNT) == 0


async def test_calls_that_are_cancelled_at_any_moment_end_and_leak_no_connection(database_url: str) -> None:
    database = Database(database_url, max_connections=2, acquire_timeout=60)
    await database.open()

    async def work() -> None:
        async with database.transaction() as transaction:
            await transaction.one(COUNT)
        await database.one(COUNT)

    async def work_repeatedly() -> None:
        while True:
            await work()

    for turns in range(60):
        cancelled = [asyncio.create_task(work_repeatedly()) for _ in range(4)]
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in cancelled:
            task.cancel()
        await asyncio.gather(*cancelled, return_exceptions=True)
    await asyncio.gather(*(work() for _ in range(8)))
    await database.close()


async def test_dead_pooled_connections_are_replaced_without_an_error(
    database: Database, database_url: str
) -> None:
    kill = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await asyncio.gather(*[database.all(COUNT) for _ in range(20)])
    with psycopg.connect(database_url) as connection:
        killed = connection.execute(kill).fetchone()
        assert killed is not None
        assert killed[0] > 0
    assert await database.one(COUNT) == 0
    with psycopg.connect(database_url) as connection:
        connection.execute(kill)
    async with database.transaction() as transaction:
        await transaction.run(ADD_NOTE, user_id="a", text="x")
    assert await database.all(NOTES) == ["x"]


async def test_an_exhausted_pool_is_reported_as_unavailable(database_url: str) -> None:
    small = Database(database_url, max_connections=1, acquire_timeout=0.05)
    await small.open()
    async with small.transaction():
        with pytest.raises(psycopg.Error) as caught:
            await small.all(COUNT)
    translated = to_status_error(caught.value)
    assert translated is not None
    assert translated.code is ServiceUnavailable.code
    await small.close()


def test_every_statement_is_in_the_registry() -> None:
    from chassis.database import Statement

    created = statement(select(func.count()).select_from(table("nowhere", column("x"))), int)
    assert created in Statement.registry
    Statement.registry.remove(created)
