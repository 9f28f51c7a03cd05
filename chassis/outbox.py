"""Transactional outbox: messages to other services, written with the change and delivered at least once.

A message is inserted in the transaction of the change that it reports. The relay of one process at a time
delivers the messages in order to RPCs of other services. Each message has its own id, by which the receiver
recognises a repetition.

    await outbox.enqueue(transaction, "award_xp", {"user_id": user_id, "amount": 10})
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple, TypeAlias, TypeVar

from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    Identity,
    MetaData,
    Named,
    Table,
    Text,
    TypedColumns,
    any_,
    bindparam,
    delete,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID, insert

from chassis.background import RETRY_DELAY_SECONDS, run_forever
from chassis.database import Database, Transaction, statement
from chassis.notifications import Notifier, Subscription
from chassis.tables import TIMESTAMPTZ

_BATCH_SIZE = 100
_MAX_RETRY_DELAY_SECONDS = 30.0
_RPC_TIMEOUT_SECONDS = 5.0
_NOTIFICATION_KEY = "outbox"

AnyTransaction = TypeVar("AnyTransaction", bound=Transaction)


class OutboxColumns(TypedColumns):
    """The table `outbox` of undelivered messages; each `tables.py` of a sending service declares its own."""

    position: Named[int] = Column(BigInteger, Identity(), primary_key=True)
    message_id: Named[str] = Column(UUID, unique=True, server_default=func.uuidv7())
    kind: Named[str] = Column(Text)
    body: Named[dict[str, Any]] = Column(JSONB)
    created_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now())


class OutboxMessage(NamedTuple):
    """One message. `message_id` is the idempotency key of its delivery."""

    position: int
    message_id: str
    kind: str
    body: dict[str, Any]
    created_at: datetime


MessageHandler: TypeAlias = Callable[[Sequence[OutboxMessage]], Awaitable[None]]
"""Delivers messages of one kind in order. If it raises, all of them are delivered again."""

_outbox = Table("outbox", MetaData(), OutboxColumns)

ENQUEUE = statement(insert(_outbox).values(kind=bindparam("kind"), body=bindparam("body")).inline())
# Only one relay delivers at a time, which preserves the order. A message that is committed late is delivered
# in a later batch.
TRY_LOCK = statement(select(func.pg_try_advisory_xact_lock(func.hashtext("outbox"))), bool)
LIST_NEXT = statement(select(*_outbox.c).order_by(_outbox.c.position).limit(_BATCH_SIZE), OutboxMessage)
DELETE_DELIVERED = statement(
    delete(_outbox).where(_outbox.c.position == any_(bindparam("positions", type_=ARRAY(BigInteger))))
)


async def enqueue(transaction: Transaction, kind: str, body: Mapping[str, object]) -> None:
    """Inserts a message in the transaction of the change that it reports."""
    await transaction.run(ENQUEUE, kind=kind, body=dict(body))
    transaction.notify(_NOTIFICATION_KEY)


def rpc_handler(rpc: Callable[..., Awaitable[Message]], request: type[Message]) -> MessageHandler:
    """Returns a handler that calls `rpc` with each message: its body is the request in JSON, its id the request_id."""

    async def deliver(messages: Sequence[OutboxMessage]) -> None:
        for message in messages:
            body = ParseDict(message.body, request(request_id=message.message_id))
            await rpc(body, timeout=_RPC_TIMEOUT_SECONDS)

    return deliver


class ThrottledOutbox:
    """Sends at most one message for each key in each interval. Other processes are not considered."""

    def __init__(self, kind: str, interval: timedelta, clock: Callable[[], float] = time.time) -> None:
        """`clock` returns seconds since the epoch; intervals are aligned to the epoch."""
        self._kind = kind
        self._interval = interval.total_seconds()
        self._clock = clock
        self._window = 0
        self._sent: set[str] = set()

    @asynccontextmanager
    async def write_through(
        self, opening: AbstractAsyncContextManager[AnyTransaction], key: str, body: Mapping[str, object]
    ) -> AsyncIterator[AnyTransaction]:
        """Opens a transaction and enqueues the message in it, unless `key` was sent in this interval."""
        sent = self._sent_in_window()
        async with opening as transaction:
            yield transaction
            if key not in sent:
                await enqueue(transaction, self._kind, body)
        # Only after the commit is it certain that the message exists.
        sent.add(key)

    def _sent_in_window(self) -> set[str]:
        window = int(self._clock() // self._interval)
        if window != self._window:
            self._window, self._sent = window, set()
        return self._sent


class Relay:
    """Delivers the messages of one database, each kind by its own handler."""

    def __init__(
        self, database: Database, notifier: Notifier, handlers: Mapping[str, MessageHandler]
    ) -> None:
        self._database = database
        self._notifier = notifier
        self._handlers = handlers

    async def run(self) -> None:
        """Delivers messages. Never returns. The delay doubles with each failure in a row, up to 30 s."""
        with self._notifier.subscribe(_NOTIFICATION_KEY) as subscription:
            await run_forever(
                partial(self._deliver_next, subscription),
                "outbox_not_delivered",
                retry_delay=RETRY_DELAY_SECONDS,
                max_retry_delay=_MAX_RETRY_DELAY_SECONDS,
            )

    async def _deliver_next(self, subscription: Subscription) -> None:
        """Delivers one batch, so that the delay starts again after each batch of a backlog."""
        if not await self.deliver_batch():
            await subscription.wait()

    async def deliver_batch(self) -> bool:
        """Delivers up to one batch in order; returns whether more messages may exist.

        Raises the exception of a handler. Messages that were delivered before it stay delivered.
        """
        async with self._database.transaction() as lock:
            if not await lock.one(TRY_LOCK):
                return False
            messages = await lock.all(LIST_NEXT)
            for kind, group in groupby(messages, lambda message: message.kind):
                batch = [*group]
                await self._handlers[kind](batch)
                async with self._database.transaction() as transaction:
                    await transaction.run(DELETE_DELIVERED, positions=[message.position for message in batch])
        return len(messages) == _BATCH_SIZE
