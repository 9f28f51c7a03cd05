"""Facts that must reach another service: written with the change, delivered at least once.

A row is put into the outbox in the transaction of the change that it tells of. The relay
of one process at a time hands the rows to their owner's RPC in order, each under its own id,
by which the owner recognises a repetition.

    await outbox.put(transaction, "award_xp", {"user_id": user_id, "amount": 10})
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple, TypeAlias, TypeVar

import structlog
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from sqlalchemy import (
    ARRAY,
    BigInteger,
    DateTime,
    Identity,
    Text,
    any_,
    bindparam,
    column,
    delete,
    func,
    select,
    table,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID, insert
from sqlalchemy.orm import Mapped, mapped_column

from chassis.bell import Bell
from chassis.database import Database, Transaction, statement

_BATCH = 100
_PAUSE = 0.5
_MAX_PAUSE = 30.0
_TIMEOUT = 5.0
_RING = "outbox"

AnyTransaction = TypeVar("AnyTransaction", bound=Transaction)

log = structlog.get_logger()


class Outbox:
    """The table of facts on their way; every service's `tables.py` that sends declares its own."""

    __tablename__ = "outbox"

    position: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    fact_id: Mapped[str] = mapped_column(UUID, unique=True, server_default=func.uuidv7())
    kind: Mapped[str] = mapped_column(Text)
    body: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class Fact(NamedTuple):
    """One fact: by `fact_id` its owner knows whether it came before."""

    position: int
    fact_id: str
    kind: str
    body: dict[str, Any]
    created_at: datetime


Deliver: TypeAlias = Callable[[Sequence[Fact]], Awaitable[None]]
"""Hands facts of one kind to their owner, in order. Raising means that all of them are tried again."""

_outbox = table(
    "outbox",
    column("position", BigInteger),
    column("fact_id", UUID),
    column("kind", Text),
    column("body", JSONB),
    column("created_at", DateTime(timezone=True)),
)

PUT = statement(insert(_outbox).values(kind=bindparam("kind"), body=bindparam("body")))
# The lock makes one relay the only one; a fact committed late is seen at the next look.
LEAD = statement(select(func.pg_try_advisory_xact_lock(func.hashtext("outbox"))), bool)
NEXT = statement(select(*_outbox.c).order_by(_outbox.c.position).limit(_BATCH), Fact)
DELIVERED = statement(
    delete(_outbox).where(_outbox.c.position == any_(bindparam("positions", type_=ARRAY(BigInteger))))
)


async def put(transaction: Transaction, kind: str, body: Mapping[str, Any]) -> None:
    """Adds a fact to the transaction that makes it true."""
    await transaction.run(PUT, kind=kind, body=dict(body))
    transaction.ring(_RING)


def requests(rpc: Callable[..., Awaitable[Message]], request: type[Message]) -> Deliver:
    """Sends each fact as the request that its body is, in JSON, under the fact's own id."""

    async def hand_over(facts: Sequence[Fact]) -> None:
        for fact in facts:
            await rpc(ParseDict(fact.body, request(request_id=fact.fact_id)), timeout=_TIMEOUT)

    return hand_over


class Sparing:
    """Facts that say little when repeated: of each key a process tells once in a stretch of time."""

    def __init__(self, kind: str, every: timedelta, clock: Callable[[], float] = time.time) -> None:
        """`clock` tells the seconds since the epoch, from which the stretches are counted."""
        self._kind = kind
        self._every = every.total_seconds()
        self._clock = clock
        self._stretch = 0
        self._told: set[str] = set()

    @asynccontextmanager
    async def along(
        self, writing: AbstractAsyncContextManager[AnyTransaction], key: str, body: Mapping[str, Any]
    ) -> AsyncIterator[AnyTransaction]:
        """Opens a transaction that tells of a key, unless this process did in the present stretch."""
        told = self._told_now()
        async with writing as transaction:
            yield transaction
            if key not in told:
                await put(transaction, self._kind, body)
        # Only now is it sure that it is told.
        told.add(key)

    def _told_now(self) -> set[str]:
        stretch = int(self._clock() // self._every)
        if stretch != self._stretch:
            self._stretch, self._told = stretch, set()
        return self._told


class Relay:
    """Delivers the facts of one database, each kind by its own function."""

    def __init__(self, database: Database, bell: Bell, deliver: Mapping[str, Deliver]) -> None:
        self._database = database
        self._bell = bell
        self._deliver = deliver

    async def run(self) -> None:
        """Delivers for ever; waits longer after each failure in a row, up to half a minute."""
        pause = _PAUSE
        with self._bell.listen(_RING) as rung:
            while True:
                try:
                    while await self.deliver_batch():
                        pause = _PAUSE
                except Exception as error:
                    log.warning("outbox_not_delivered", error=repr(error), pause=pause)
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, _MAX_PAUSE)
                else:
                    await rung.wait()

    async def deliver_batch(self) -> bool:
        """Delivers what waits, in order, up to a batch; returns whether more may wait.

        Raises what a delivery raises; what was delivered before it stays delivered.
        """
        async with self._database.transaction() as lead:
            if not await lead.one(LEAD):
                return False
            facts = await lead.all(NEXT)
            for kind, run in groupby(facts, lambda fact: fact.kind):
                of_kind = [*run]
                await self._deliver[kind](of_kind)
                async with self._database.transaction() as transaction:
                    await transaction.run(DELIVERED, positions=[fact.position for fact in of_kind])
        return len(facts) == _BATCH
