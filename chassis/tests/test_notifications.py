"""Rings reach every replica, and none that matters is lost."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest_asyncio

from chassis.database import Database
from chassis.notifications import Notifier

FOREVER = 30.0


@pytest_asyncio.fixture
async def notifiers(database: Database) -> AsyncIterator[list[Notifier]]:
    """Two replicas over one database."""
    made = [Notifier(database), Notifier(database)]
    running = [asyncio.create_task(notifier.run()) for notifier in made]
    yield made
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def test_a_ring_wakes_its_own_process_at_once(database: Database) -> None:
    notifier = Notifier(database)
    with notifier.subscribe("a") as subscription:
        notifier.notify("a")
        await subscription.wait(FOREVER)


async def test_a_ring_before_the_wait_is_not_lost(notifiers: list[Notifier]) -> None:
    with notifiers[0].subscribe("a") as subscription:
        for _ in range(3):
            notifiers[0].notify("a")
            await subscription.wait(FOREVER)


async def test_a_ring_reaches_the_other_replica(notifiers: list[Notifier]) -> None:
    here, there = notifiers
    with there.subscribe("a") as subscription:
        await subscription.wait(FOREVER)  # the ring that tells that it listens now
        here.notify("a")
        await subscription.wait(FOREVER)


async def test_a_ring_wakes_nobody_who_listens_to_another_key(notifiers: list[Notifier]) -> None:
    with notifiers[0].subscribe("a") as subscription, notifiers[0].subscribe("b") as other:
        await subscription.wait(FOREVER)
        await other.wait(FOREVER)
        notifiers[0].notify("a")
        await subscription.wait(FOREVER)
        assert not other.is_set


async def test_the_bell_survives_its_connection(notifiers: list[Notifier], database_url: str) -> None:
    here, there = notifiers
    with there.subscribe("a") as subscription:
        await subscription.wait(FOREVER)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
            )
        await subscription.wait(
            FOREVER
        )  # connected again, it strikes all, for nobody knows what rang meanwhile
        here.notify("a")
        await subscription.wait(FOREVER)
