"""Rings reach every replica, and none that matters is lost."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest_asyncio

from chassis.bell import Bell
from chassis.database import Database

FOREVER = 30.0


@pytest_asyncio.fixture
async def bells(database: Database) -> AsyncIterator[list[Bell]]:
    """Two replicas over one database."""
    made = [Bell(database), Bell(database)]
    running = [asyncio.create_task(bell.run()) for bell in made]
    yield made
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def test_a_ring_wakes_its_own_process_at_once(database: Database) -> None:
    bell = Bell(database)
    with bell.listen("a") as rung:
        bell.ring("a")
        await rung.wait(FOREVER)


async def test_a_ring_before_the_wait_is_not_lost(bells: list[Bell]) -> None:
    with bells[0].listen("a") as rung:
        for _ in range(3):
            bells[0].ring("a")
            await rung.wait(FOREVER)


async def test_a_ring_reaches_the_other_replica(bells: list[Bell]) -> None:
    here, there = bells
    with there.listen("a") as rung:
        await rung.wait(FOREVER)  # the ring that tells that it listens now
        here.ring("a")
        await rung.wait(FOREVER)


async def test_a_ring_wakes_nobody_who_listens_to_another_key(bells: list[Bell]) -> None:
    with bells[0].listen("a") as rung, bells[0].listen("b") as other:
        await rung.wait(FOREVER)
        await other.wait(FOREVER)
        bells[0].ring("a")
        await rung.wait(FOREVER)
        assert not other.struck


async def test_the_bell_survives_its_connection(bells: list[Bell], database_url: str) -> None:
    here, there = bells
    with there.listen("a") as rung:
        await rung.wait(FOREVER)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
            )
        await rung.wait(FOREVER)  # connected again, it strikes all, for nobody knows what rang meanwhile
        here.ring("a")
        await rung.wait(FOREVER)
