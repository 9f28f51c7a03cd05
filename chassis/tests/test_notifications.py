"""Notifications reach every replica, and a lost connection loses no change."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest_asyncio

from chassis.database import Database
from chassis.notifications import Notifier

LONG_SECONDS = 30.0


@pytest_asyncio.fixture
async def notifiers(database: Database) -> AsyncIterator[list[Notifier]]:
    """Returns the running notifiers of two replicas with one database."""
    replicas = [Notifier(database), Notifier(database)]
    running = [asyncio.create_task(notifier.run()) for notifier in replicas]
    yield replicas
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def test_a_notification_wakes_subscribers_of_its_own_process(database: Database) -> None:
    notifier = Notifier(database)
    with notifier.subscribe("a") as subscription:
        notifier.notify("a")
        await subscription.wait(LONG_SECONDS)


async def test_a_notification_before_the_wait_is_not_lost(notifiers: list[Notifier]) -> None:
    with notifiers[0].subscribe("a") as subscription:
        for _ in range(3):
            notifiers[0].notify("a")
            await subscription.wait(LONG_SECONDS)


async def test_a_notification_reaches_the_other_replica(notifiers: list[Notifier]) -> None:
    here, there = notifiers
    with there.subscribe("a") as subscription:
        await subscription.wait(LONG_SECONDS)  # woken when LISTEN begins
        here.notify("a")
        await subscription.wait(LONG_SECONDS)


async def test_subscribers_of_another_key_are_not_woken(notifiers: list[Notifier]) -> None:
    with notifiers[0].subscribe("a") as subscription, notifiers[0].subscribe("b") as other:
        await subscription.wait(LONG_SECONDS)
        await other.wait(LONG_SECONDS)
        notifiers[0].notify("a")
        await subscription.wait(LONG_SECONDS)
        assert not other.is_set


async def test_a_lost_connection_is_replaced_and_all_subscribers_are_woken(
    notifiers: list[Notifier], database_url: str
) -> None:
    here, there = notifiers
    with there.subscribe("a") as subscription:
        await subscription.wait(LONG_SECONDS)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
            )
        await subscription.wait(
            LONG_SECONDS
        )  # woken after the reconnection, because notifications may be lost
        here.notify("a")
        await subscription.wait(LONG_SECONDS)
