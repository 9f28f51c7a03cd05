"""Facts are delivered in order, at least once, and by one relay at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import pytest

from chassis import outbox
from chassis.database import Database
from chassis.notifications import Notifier
from chassis.outbox import MessageHandler, OutboxMessage, Relay, ThrottledOutbox


async def _put(database: Database, *numbers: int) -> None:
    for number in numbers:
        async with database.transaction() as transaction:
            await outbox.enqueue(transaction, "counted", {"number": number})


def _relay(database: Database, deliver: Callable[[OutboxMessage], Awaitable[None]]) -> Relay:
    async def hand_over(facts: Sequence[OutboxMessage]) -> None:
        for fact in facts:
            await deliver(fact)

    return Relay(database, Notifier(database), {"counted": hand_over})


async def test_a_fact_of_a_transaction_that_fails_was_never_true(database: Database) -> None:
    delivered: list[OutboxMessage] = []

    async def deliver(fact: OutboxMessage) -> None:
        delivered.append(fact)

    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as transaction:
            await outbox.enqueue(transaction, "counted", {"number": 1})
            raise ZeroDivisionError
    await _relay(database, deliver).deliver_batch()
    assert delivered == []


async def test_facts_arrive_in_their_order_and_once(database: Database) -> None:
    delivered: list[int] = []

    async def deliver(fact: OutboxMessage) -> None:
        delivered.append(fact.body["number"])

    await _put(database, *range(250))
    relay = _relay(database, deliver)
    while await relay.deliver_batch():
        pass
    await relay.deliver_batch()
    assert delivered == [*range(250)]


async def test_facts_of_a_kind_travel_together_and_kinds_keep_their_order(database: Database) -> None:
    delivered: list[tuple[str, int]] = []

    def keep(kind: str) -> MessageHandler:
        async def deliver(facts: Sequence[OutboxMessage]) -> None:
            delivered.append((kind, len(facts)))

        return deliver

    async with database.transaction() as transaction:
        for kind in ("counted", "counted", "other", "counted"):
            await outbox.enqueue(transaction, kind, {})
    relay = Relay(database, Notifier(database), {kind: keep(kind) for kind in ("counted", "other")})
    await relay.deliver_batch()
    assert delivered == [("counted", 2), ("other", 1), ("counted", 1)]


async def test_facts_that_failed_are_delivered_again_under_the_same_ids(database: Database) -> None:
    attempts: list[OutboxMessage] = []

    async def deliver(fact: OutboxMessage) -> None:
        attempts.append(fact)
        if len(attempts) == 2:
            raise ConnectionError

    await _put(database, 1, 2, 3)
    relay = _relay(database, deliver)
    with pytest.raises(ConnectionError):
        await relay.deliver_batch()
    await relay.deliver_batch()
    assert [fact.body["number"] for fact in attempts] == [1, 2, 1, 2, 3]
    assert attempts[:2] == attempts[2:4]


async def test_of_two_relays_one_delivers(database: Database) -> None:
    delivered: list[int] = []
    entered, leave = asyncio.Event(), asyncio.Event()

    async def deliver(fact: OutboxMessage) -> None:
        delivered.append(fact.body["number"])
        entered.set()
        await leave.wait()

    await _put(database, 1)
    first = asyncio.create_task(_relay(database, deliver).deliver_batch())
    await entered.wait()
    assert await _relay(database, deliver).deliver_batch() is False
    leave.set()
    await first
    assert delivered == [1]


async def test_the_relay_runs_and_is_woken(database: Database) -> None:
    delivered: asyncio.Queue[int] = asyncio.Queue()

    async def deliver(fact: OutboxMessage) -> None:
        await delivered.put(fact.body["number"])

    relay = _relay(database, deliver)
    running = asyncio.create_task(relay.run())
    for number in range(3):
        await _put(database, number)
        assert await delivered.get() == number
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_of_a_key_a_fact_is_told_once_in_a_stretch(database: Database) -> None:
    now = 1_000.0
    sparing = ThrottledOutbox("counted", timedelta(minutes=15), clock=lambda: now)
    for moment, key in ((1_000, "a"), (1_001, "a"), (1_002, "b"), (1_799, "a"), (1_800, "a"), (1_801, "a")):
        now = moment
        async with sparing.write_through(database.transaction(), key, {"number": moment}):
            pass
    assert [fact.body["number"] for fact in await database.all(outbox.LIST_NEXT)] == [1_000, 1_002, 1_800]


async def test_what_fails_is_not_told_and_hides_nothing(database: Database) -> None:
    sparing = ThrottledOutbox("counted", timedelta(minutes=15))
    with pytest.raises(ZeroDivisionError):
        async with sparing.write_through(database.transaction(), "a", {"number": 1}):
            raise ZeroDivisionError
    async with sparing.write_through(database.transaction(), "a", {"number": 2}):
        pass
    assert [fact.body["number"] for fact in await database.all(outbox.LIST_NEXT)] == [2]
