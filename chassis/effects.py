"""What the account feed changes for good: erasures, merged guests, classes that are gone.

Every process follows the feed, and one of them applies each event: the cursor, a row of the
service's own, moves on in the transaction of the effect, and whoever comes second finds it moved.
An effect must bear being applied again, for after a restore the feed begins a new epoch.

    background=[partial(effects.apply, database, feed, {"user_erased": erase})]
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import NamedTuple, TypeAlias

import structlog
from sqlalchemy import BigInteger, Boolean, bindparam, column, select, table, text, true, update
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import Mapped, mapped_column

from chassis.database import Database, Transaction, statement
from chassis.rights import Feed, Position
from meno.access.v1.account_feed_service_pb2 import AccountEvent, WatchAccountEventsResponse

FROM_THE_BEGINNING = timedelta(days=36_500)
"""How far back a service looks that has never followed the feed."""

_SILENCE = 10.0
_PAUSE = 0.5

log = structlog.get_logger()

Effect: TypeAlias = Callable[[Transaction, AccountEvent], Awaitable[None]]
"""Applies one event in the transaction that moves the cursor."""


class FeedCursor:
    """The table of how far a service has applied the feed; each `tables.py` declares its own."""

    __tablename__ = "feed_cursor"

    singleton: Mapped[bool] = mapped_column(Boolean, primary_key=True, server_default=true())
    epoch: Mapped[str | None] = mapped_column(UUID)
    sequence: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))


class _Cursor(NamedTuple):
    epoch: str | None
    sequence: int


_cursor = table("feed_cursor", column("epoch", UUID), column("sequence", BigInteger))

READ = statement(select(*_cursor.c), _Cursor)
LOCKED = statement(select(*_cursor.c).with_for_update(), _Cursor)
MOVE = statement(update(_cursor).values(epoch=bindparam("epoch"), sequence=bindparam("sequence")))


async def apply(database: Database, feed: Feed, effects: Mapping[str, Effect]) -> None:
    """Applies every event that has an effect here, by its kind, for ever."""
    while True:
        try:
            await _follow_once(database, feed, effects)
        except Exception as error:
            log.warning("effects_not_applied", error=repr(error))
        await asyncio.sleep(_PAUSE)


async def _follow_once(database: Database, feed: Feed, effects: Mapping[str, Effect]) -> None:
    steps = aiter(feed(await _position(database)))
    epoch = ""
    while True:
        async with asyncio.timeout(_SILENCE):
            step: WatchAccountEventsResponse = await anext(steps)
        if step.HasField("epoch"):
            epoch = step.epoch
        elif step.HasField("error"):
            return
        elif step.HasField("event") and (effect := effects.get(step.event.WhichOneof("kind") or "")):
            await _apply_once(database, Position(epoch, step.event.sequence), effect, step.event)


async def _position(database: Database) -> Position:
    row = await database.one(READ)
    assert row is not None, "the migration that makes the table adds its row"
    return Position(row.epoch or "", row.sequence)


async def _apply_once(database: Database, here: Position, effect: Effect, event: AccountEvent) -> None:
    async with database.transaction() as transaction:
        row = await transaction.one(LOCKED)
        assert row is not None
        if row.epoch == here.epoch and row.sequence >= here.sequence:
            return
        await effect(transaction, event)
        await transaction.run(MOVE, epoch=here.epoch, sequence=here.sequence)
