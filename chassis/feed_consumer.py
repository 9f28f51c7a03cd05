"""Applies the durable effects of the account feed: erasures, merged guests, deleted and purged classes.

Every process follows the feed, and exactly one of them applies each event: the transaction of the effect
also advances the stored cursor, so that a second process finds the cursor beyond the event. An event
handler must be idempotent, because after a restore the feed begins a new epoch and repeats its events.

    background=[partial(feed_consumer.consume, database, feed, {"user_erased": erase})]
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import NamedTuple, TypeAlias

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    MetaData,
    Named,
    Table,
    TypedColumns,
    bindparam,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import UUID

from chassis.background import RETRY_DELAY_SECONDS, run_forever
from chassis.database import Database, Transaction, columns, statement
from chassis.revocation import Feed, Position
from meno.access.v1.account_feed_service_pb2 import WatchAccountEventsResponse
from meno.access.v1.resources_pb2 import AccountEvent

ALL_HISTORY = timedelta(days=36_500)
"""The replay window of a service that has never consumed the feed."""

# identity_service sends a heartbeat every second; ten missed ones mean that the connection is dead.
_READ_TIMEOUT_SECONDS = 10.0

EventHandler: TypeAlias = Callable[[Transaction, AccountEvent], Awaitable[None]]
"""Applies one event in the transaction that advances the cursor."""


class FeedCursorColumns(TypedColumns):
    """The table `feed_cursor` of the consumed position; each `tables.py` declares its own."""

    singleton: Named[bool] = Column(Boolean, primary_key=True, server_default=true())
    epoch: Named[str | None] = Column(UUID)
    sequence: Named[int] = Column(BigInteger, server_default=text("0"))


class _Cursor(NamedTuple):
    epoch: str | None
    sequence: int


_cursor = Table("feed_cursor", MetaData(), FeedCursorColumns)

GET_CURSOR = statement(select(*columns(_Cursor, _cursor)), _Cursor)
GET_CURSOR_FOR_UPDATE = statement(select(*columns(_Cursor, _cursor)).with_for_update(), _Cursor)
ADVANCE_CURSOR = statement(update(_cursor).values(epoch=bindparam("epoch"), sequence=bindparam("sequence")))


async def consume(database: Database, feed: Feed, handlers: Mapping[str, EventHandler]) -> None:
    """Applies every event that has a handler, by its kind. Never returns."""
    await run_forever(
        partial(_consume_once, database, feed, handlers),
        "account_events_not_applied",
        interval=RETRY_DELAY_SECONDS,
    )


async def _consume_once(database: Database, feed: Feed, handlers: Mapping[str, EventHandler]) -> None:
    steps = aiter(feed(await _get_position(database)))
    epoch = ""
    while True:
        async with asyncio.timeout(_READ_TIMEOUT_SECONDS):
            step: WatchAccountEventsResponse = await anext(steps)
        if step.HasField("epoch"):
            epoch = step.epoch
        elif step.HasField("error"):
            return
        elif step.HasField("event") and (handler := handlers.get(step.event.WhichOneof("kind") or "")):
            await _apply_once(database, Position(epoch, step.event.sequence), handler, step.event)


async def _get_position(database: Database) -> Position:
    row = await database.one(GET_CURSOR)
    assert row is not None, "the migration that creates the table inserts its row"
    return Position(row.epoch or "", row.sequence)


async def _apply_once(
    database: Database, position: Position, handler: EventHandler, event: AccountEvent
) -> None:
    async with database.transaction() as transaction:
        row = await transaction.one(GET_CURSOR_FOR_UPDATE)
        assert row is not None
        if row.epoch == position.epoch and row.sequence >= position.sequence:
            return
        await handler(transaction, event)
        await transaction.run(ADVANCE_CURSOR, epoch=position.epoch, sequence=position.sequence)
