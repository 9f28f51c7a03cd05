"""The outbox delivers messages in order, at least once, by one relay at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from chassis import outbox
from chassis.background import RETRY_DELAY_SECONDS
from chassis.database import Database
from chassis.notifications import Notifier
from chassis.outbox import MessageHandler, OutboxMessage, Relay, ThrottledOutbox


async def _enqueue(database: Database, *numbers: int) -> None:
    for number in numbers:
        async with database.transaction() as transaction:
            await outbox.enqueue(transaction, "counted", {"number": number})


def _relay(database: Database, deliver: Callable[[OutboxMessage], Awaitable[None]]) -> Relay:
    async def deliver_all(messages: Sequence[OutboxMessage]) -> None:
        for message in messages:
            await deliver(message)

    return Relay(database, Notifier(database), {"counted": deliver_all})


async def test_a_message_of_a_failed_transaction_is_not_delivered(database: Database) -> None:
    delivered: list[OutboxMessage] = []

    async def deliver(message: OutboxMessage) -> None:
        delivered.append(message)

    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as transaction:
            await outbox.enqueue(transaction, "counted", {"number": 1})
            raise ZeroDivisionError
    await _relay(database, deliver).deliver_batch()
    assert delivered == []


async def test_messages_are_delivered_once_in_order(database: Database) -> None:
    delivered: list[int] = []

    async def deliver(message: OutboxMessage) -> None:
        delivered.append(message.body["number"])

    await _enqueue(database, *range(250))
    relay = _relay(database, deliver)
    while await relay.deliver_batch():
        pass
    await relay.deliver_batch()
    assert delivered == [*range(250)]


async def test_consecutive_messages_of_a_kind_are_delivered_together(database: Database) -> None:
    delivered: list[tuple[str, int]] = []

    def record(kind: str) -> MessageHandler:
        async def deliver(messages: Sequence[OutboxMessage]) -> None:
            delivered.append((kind, len(messages)))

        return deliver

    async with database.transaction() as transaction:
        for kind in ("counted", "counted", "other", "counted"):
            await outbox.enqueue(transaction, kind, {})
    relay = Relay(database, Notifier(database), {kind: record(kind) for kind in ("counted", "other")})
    await relay.deliver_batch()
    assert delivered == [("counted", 2), ("other", 1), ("counted", 1)]


async def test_failed_messages_are_delivered_again_with_the_same_ids(database: Database) -> None:
    attempts: list[OutboxMessage] = []

    async def deliver(message: OutboxMessage) -> None:
        attempts.append(message)
        if len(attempts) == 2:
            raise ConnectionError

    await _enqueue(database, 1, 2, 3)
    relay = _relay(database, deliver)
    with pytest.raises(ConnectionError):
        await relay.deliver_batch()
    await relay.deliver_batch()
    assert [message.body["number"] for message in attempts] == [1, 2, 1, 2, 3]
    assert attempts[:2] == attempts[2:4]


async def test_only_one_of_two_relays_delivers(database: Database) -> None:
    delivered: list[int] = []
    entered, leave = asyncio.Event(), asyncio.Event()

    async def deliver(message: OutboxMessage) -> None:
        delivered.append(message.body["number"])
        entered.set()
        await leave.wait()

    await _enqueue(database, 1)
    first = asyncio.create_task(_relay(database, deliver).deliver_batch())
    await entered.wait()
    assert await _relay(database, deliver).deliver_batch() is False
    leave.set()
    await first
    assert delivered == [1]


async def test_a_running_relay_is_woken_by_a_new_message(database: Database) -> None:
    delivered: asyncio.Queue[int] = asyncio.Queue()

    async def deliver(message: OutboxMessage) -> None:
        await delivered.put(message.body["number"])

    relay = _relay(database, deliver)
    running = asyncio.create_task(relay.run())
    for number in range(3):
        await _enqueue(database, number)
        assert await delivered.get() == number
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_the_retry_delay_starts_again_after_each_delivered_batch(database: Database) -> None:
    delivered: list[int] = []
    is_delivered = asyncio.Event()
    fails = False

    async def fail_every_other_time(messages: Sequence[OutboxMessage]) -> None:
        nonlocal fails
        fails = not fails
        if fails:
            raise ConnectionError
        delivered.extend(message.body["number"] for message in messages)
        if len(delivered) == 250:
            is_delivered.set()

    async with database.transaction() as transaction:
        for number in range(250):
            await outbox.enqueue(transaction, "counted", {"number": number})
    relay = Relay(database, Notifier(database), {"counted": fail_every_other_time})
    with capture_logs() as logs:
        running = asyncio.create_task(relay.run())
        await is_delivered.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    failures = [line for line in logs if line["event"] == "outbox_not_delivered"]
    assert [line["retry_delay"] for line in failures] == [RETRY_DELAY_SECONDS] * 3
    assert delivered == [*range(250)]


async def test_a_throttled_outbox_sends_a_key_once_in_each_interval(database: Database) -> None:
    now = 1_000.0
    throttled = ThrottledOutbox("counted", timedelta(minutes=15), clock=lambda: now)
    for moment, key in ((1_000, "a"), (1_001, "a"), (1_002, "b"), (1_799, "a"), (1_800, "a"), (1_801, "a")):
        now = moment
        async with throttled.write_through(database.transaction(), key, {"number": moment}):
            pass
    assert [message.body["number"] for message in await database.all(outbox.LIST_NEXT)] == [
        1_000,
        1_002,
        1_800,
    ]


async def test_a_failed_transaction_does_not_throttle_later_messages(database: Database) -> None:
    throttled = ThrottledOutbox("counted", timedelta(minutes=15))
    with pytest.raises(ZeroDivisionError):
        async with throttled.write_through(database.transaction(), "a", {"number": 1}):
            raise ZeroDivisionError
    async with throttled.write_through(database.transaction(), "a", {"number": 2}):
        pass
    assert [message.body["number"] for message in await database.all(outbox.LIST_NEXT)] == [2]
