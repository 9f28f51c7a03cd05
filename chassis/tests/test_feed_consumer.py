"""Durable effects of the account feed are applied once, in order, by one of several processes."""

import asyncio
import uuid
from functools import partial

import psycopg
import pytest

from chassis import feed_consumer
from chassis.database import Database, Transaction
from chassis.testing import FakeAccountFeed, wait_until
from chassis.tests.tables import ADD_NOTE
from meno.access.v1.resources_pb2 import AccountEvent


def erase(feed: FakeAccountFeed) -> str:
    """Appends an erasure and returns the user id."""
    user_id = str(uuid.uuid4())
    feed.append(user_erased=AccountEvent.UserErased(user_id=user_id))
    return user_id


async def note(transaction: Transaction, event: AccountEvent) -> None:
    await transaction.run(ADD_NOTE, user_id=event.user_erased.user_id, text="erased")


def list_notes(database_url: str) -> list[str]:
    with psycopg.connect(database_url) as connection:
        return [
            str(user_id) for (user_id,) in connection.execute("SELECT user_id FROM notes ORDER BY note_id")
        ]


async def test_every_event_with_a_handler_is_applied_once_in_order(
    database: Database, database_url: str
) -> None:
    feed = FakeAccountFeed()
    expected = [erase(feed)]
    feed.revoke_tokens(str(uuid.uuid4()), 1)
    replicas = [
        asyncio.create_task(feed_consumer.consume(database, feed.follow, {"user_erased": note}))
        for _ in range(3)
    ]
    expected += [erase(feed) for _ in range(20)]
    await wait_until(lambda: len(list_notes(database_url)) >= 21)
    for replica in replicas:
        replica.cancel()
    await asyncio.gather(*replicas, return_exceptions=True)
    assert list_notes(database_url) == expected


async def test_a_process_resumes_from_the_stored_cursor(database: Database, database_url: str) -> None:
    feed = FakeAccountFeed()
    for _ in range(2):
        erase(feed)
        following = asyncio.create_task(feed_consumer.consume(database, feed.follow, {"user_erased": note}))
        await wait_until(lambda: len(list_notes(database_url)) >= len(feed_ids(feed)))
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    assert list_notes(database_url) == feed_ids(feed)


async def test_a_failed_handler_is_retried_before_later_events(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_consumer, "RETRY_DELAY_SECONDS", 0.01)
    feed, failures = FakeAccountFeed(), iter(range(3))

    async def fails_at_first(transaction: Transaction, event: AccountEvent) -> None:
        await note(transaction, event)
        if next(failures, None) is not None:
            raise ConnectionError

    expected = [erase(feed), erase(feed)]
    following = asyncio.create_task(
        feed_consumer.consume(database, feed.follow, {"user_erased": fails_at_first})
    )
    await wait_until(lambda: len(list_notes(database_url)) >= 2)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    assert list_notes(database_url) == expected


async def test_a_new_epoch_is_applied_from_its_beginning(database: Database, database_url: str) -> None:
    feed = FakeAccountFeed()
    consume = partial(feed_consumer.consume, database, feed.follow, {"user_erased": note})
    before = [erase(feed), erase(feed)]
    following = asyncio.create_task(consume())
    await wait_until(lambda: len(list_notes(database_url)) >= 2)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    feed.begin_epoch()
    after = [erase(feed)]
    following = asyncio.create_task(consume())
    await wait_until(lambda: len(list_notes(database_url)) >= 3)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    assert list_notes(database_url) == before + after


def feed_ids(feed: FakeAccountFeed) -> list[str]:
    return [event.user_erased.user_id for event in feed.events]
