"""Rings when something has changed: on this process at once, on every replica soon after.

A ring says where to look, never what is there: whoever is woken reads the database. Rings
of a burst are sent together, for PostgreSQL commits its notifications one at a time. One
that is lost with its process is made good by the look that a listener takes now and then.

    with bell.listen(session_id) as rung:
        while True:
            async for event in store.events_after(...):
                yield event
            await rung.wait()
"""

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import structlog
from sqlalchemy import ARRAY, Text, bindparam, func, literal, select

from chassis.database import Database, statement

LOOK_EVERY = 5.0
"""Seconds after which a listener looks although nothing rang."""

_CHANNEL = "meno_bell"
_GATHER = 0.01
_PAUSE = 0.5
_MAX_PENDING = 10_000

log = structlog.get_logger()

_keys = func.unnest(bindparam("keys", type_=ARRAY(Text))).column_valued("key")
NOTIFY = statement(select(func.pg_notify(literal(_CHANNEL), _keys)))


class Rung:
    """What a listener waits on."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    @property
    def struck(self) -> bool:
        """Whether there was a ring since the last wait."""
        return self._event.is_set()

    def strike(self) -> None:
        """Wakes the listener, now or at its next wait."""
        self._event.set()

    async def wait(self, seconds: float = LOOK_EVERY) -> None:
        """Returns at the next ring, at once where there was one since the last wait, or after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return
        self._event.clear()


class Bell:
    """The bell of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.ring = self.ring
        self._origin = uuid.uuid4().hex
        self._listeners: dict[str, set[Rung]] = {}
        self._pending: dict[str, None] = {}
        self._wake = asyncio.Event()

    def ring(self, key: str) -> None:
        """Wakes who listens to `key`. Call it after the change is committed, as `Transaction.ring` does."""
        self._strike(key)
        if len(self._pending) < _MAX_PENDING:
            self._pending[key] = None
        self._wake.set()

    @contextmanager
    def listen(self, key: str) -> Iterator[Rung]:
        """Listens from here on: a change that is made after this line is never missed."""
        rung = Rung()
        self._listeners.setdefault(key, set()).add(rung)
        try:
            yield rung
        finally:
            listeners = self._listeners[key]
            listeners.discard(rung)
            if not listeners:
                del self._listeners[key]

    async def run(self) -> None:
        """Carries rings to the other replicas and back, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send())
            tasks.create_task(self._receive())

    async def _send(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(_GATHER)
            self._wake.clear()
            keys, self._pending = [f"{self._origin} {key}" for key in self._pending], {}
            try:
                await self._database.all(NOTIFY, keys=keys)
            except Exception as error:
                log.warning("bell_not_sent", error=repr(error), keys=len(keys))

    async def _receive(self) -> None:
        while True:
            try:
                connection = await psycopg.AsyncConnection.connect(self._database.url, autocommit=True)
                async with connection:
                    await connection.execute(f"LISTEN {_CHANNEL}")
                    self._strike_all()
                    async for notice in connection.notifies():
                        origin, _, key = notice.payload.partition(" ")
                        if origin != self._origin:
                            self._strike(key)
            except psycopg.Error as error:
                log.warning("bell_not_heard", error=repr(error))
            await asyncio.sleep(_PAUSE)

    def _strike(self, key: str) -> None:
        for rung in self._listeners.get(key, ()):
            rung.strike()

    def _strike_all(self) -> None:
        """After a silence nobody knows what rang."""
        for key in self._listeners:
            self._strike(key)
