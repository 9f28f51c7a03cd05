"""Notifications: wake the subscribers of a key after a change, on every replica (LISTEN/NOTIFY).

A notification carries only its key; subscribers re-read the database. The notifications of a burst are
sent in one statement, because PostgreSQL commits transactions that notify one at a time. Lost
notifications are covered by polling every POLL_INTERVAL_SECONDS.

    with notifier.subscribe(session_id) as subscription:
        while True:
            for event in await store.list_after(...):
                yield event
            await subscription.wait()
"""

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy import ARRAY, Text, bindparam, func, literal, select

from chassis.background import RETRY_DELAY_SECONDS, run_forever
from chassis.database import Database, statement
from chassis.telemetry import get_logger

POLL_INTERVAL_SECONDS = 5.0
"""Seconds after which a subscriber re-reads the database without a notification."""

_CHANNEL = "meno_notify"
_COALESCE_SECONDS = 0.01
_MAX_PENDING_KEYS = 10_000

log = get_logger()

_keys = func.unnest(bindparam("keys", type_=ARRAY(Text))).column_valued("key")
NOTIFY = statement(select(func.pg_notify(literal(_CHANNEL), _keys)))


class Subscription:
    """A subscription to one key, with the vocabulary of asyncio.Event."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    @property
    def is_set(self) -> bool:
        """Whether a notification arrived since the last wait."""
        return self._event.is_set()

    def wake(self) -> None:
        """Wakes the subscriber, now or at its next wait."""
        self._event.set()

    async def wait(self, seconds: float = POLL_INTERVAL_SECONDS) -> None:
        """Returns at the next notification, or after `seconds`.

        It returns at once if a notification arrived since the last wait.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return
        self._event.clear()


class Notifier:
    """Sends and receives the notifications of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.notify = self.notify
        self._origin = uuid.uuid4().hex
        self._subscriptions: dict[str, set[Subscription]] = {}
        self._pending: dict[str, None] = {}
        self._has_pending = asyncio.Event()

    def notify(self, key: str) -> None:
        """Wakes the subscribers of `key`: those of this process at once, those of other replicas soon after.

        Call it after the change is committed, as `Transaction.notify` does.
        """
        self._wake(key)
        if len(self._pending) < _MAX_PENDING_KEYS:
            self._pending[key] = None
        self._has_pending.set()

    @contextmanager
    def subscribe(self, key: str) -> Iterator[Subscription]:
        """Subscribes to `key`. A change that is committed after this call is never missed."""
        subscription = Subscription()
        self._subscriptions.setdefault(key, set()).add(subscription)
        try:
            yield subscription
        finally:
            subscriptions = self._subscriptions[key]
            subscriptions.discard(subscription)
            if not subscriptions:
                del self._subscriptions[key]

    async def run(self) -> None:
        """Exchanges notifications with the other replicas. Never returns."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(run_forever(self._send, "notifications_not_sent"))
            tasks.create_task(
                run_forever(self._receive, "notifications_not_received", interval=RETRY_DELAY_SECONDS)
            )

    async def _send(self) -> None:
        await self._has_pending.wait()
        await asyncio.sleep(_COALESCE_SECONDS)
        self._has_pending.clear()
        keys, self._pending = [f"{self._origin} {key}" for key in self._pending], {}
        await self._database.all(NOTIFY, keys=keys)

    async def _receive(self) -> None:
        connection = await psycopg.AsyncConnection.connect(self._database.url, autocommit=True)
        async with connection:
            await connection.execute(f"LISTEN {_CHANNEL}")
            self._wake_all()
            async for notice in connection.notifies():
                origin, _, key = notice.payload.partition(" ")
                if origin != self._origin:
                    self._wake(key)

    def _wake(self, key: str) -> None:
        for subscription in self._subscriptions.get(key, ()):
            subscription.wake()

    def _wake_all(self) -> None:
        """Wakes every subscriber, because notifications may have been lost before LISTEN."""
        for key in self._subscriptions:
            self._wake(key)
