"""Idempotency of writes: a repeated request_id returns the stored response.

The idempotency key is inserted first in the transaction of the write, and the response is stored before
that transaction commits. The effect, the key and the response are therefore committed together. A
repetition that runs at the same time waits on the primary key of that row, and then returns its response.

    async with write(database) as transaction:
        row = await store.create(transaction, ...)
        return transaction.respond(to_message(row))
"""

import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple, TypeVar

from google.protobuf.message import Message
from sqlalchemy import (
    Column,
    Interval,
    LargeBinary,
    MetaData,
    Named,
    Table,
    Text,
    TypedColumns,
    bindparam,
    delete,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from chassis import calls
from chassis.background import run_forever
from chassis.calls import IdempotencyKey
from chassis.database import Database, Executor, Transaction, statement
from chassis.errors import RequestIdReused
from chassis.tables import TIMESTAMPTZ

RETENTION = timedelta(hours=24)
PURGE_INTERVAL = timedelta(minutes=10)

Reply = TypeVar("Reply", bound=Message)


class IdempotencyKeysColumns(TypedColumns):
    """The table `idempotency_keys`; each `tables.py` declares its own.

    Its primary key begins with the principal: a user id or the name of a service.
    """

    principal: Named[str] = Column(Text, primary_key=True)
    method: Named[str] = Column(Text, primary_key=True)
    request_id: Named[str] = Column(Text, primary_key=True)
    body_hash: Named[bytes] = Column(LargeBinary)
    response: Named[bytes | None] = Column(LargeBinary)
    created_at: Named[datetime] = Column(TIMESTAMPTZ, server_default=func.now(), index=True)


_keys = Table("idempotency_keys", MetaData(), IdempotencyKeysColumns)
_is_key = (
    (_keys.c.principal == bindparam("principal"))
    & (_keys.c.method == bindparam("method"))
    & (_keys.c.request_id == bindparam("request_id"))
)


class _StoredResponse(NamedTuple):
    body_hash: bytes
    response: bytes


INSERT = statement(
    insert(_keys)
    .values({name: bindparam(name) for name in ("principal", "method", "request_id", "body_hash")})
    .on_conflict_do_nothing()
)
GET = statement(select(_keys.c.body_hash, _keys.c.response).where(_is_key), _StoredResponse)
SET_RESPONSE = statement(update(_keys).values(response=bindparam("response")).where(_is_key))
DELETE_BY_PRINCIPAL = statement(delete(_keys).where(_keys.c.principal == bindparam("user_id")))
# Responses to other users may contain the id and the name of the user. Reads all responses of a day.
DELETE_BY_USER = statement(
    delete(_keys).where(
        or_(
            _keys.c.principal == bindparam("user_id"),
            func.position(
                func.convert_to(bindparam("user_id", type_=Text), literal("UTF8")).op("IN")(_keys.c.response)
            )
            > 0,
        )
    )
)
PURGE = statement(
    delete(_keys).where(_keys.c.created_at < func.now() - bindparam("retention", type_=Interval))
)


class Replayed(Exception):
    """The request was processed before; `response` is its stored response, serialised."""

    def __init__(self, response: bytes) -> None:
        super().__init__("replayed")
        self.response = response


class WriteTransaction(Transaction):
    """The transaction of a write. Its body must call `respond` or raise."""

    def __init__(self, outer: Transaction, key: IdempotencyKey | None) -> None:
        super().__init__(outer.connection)
        self.notifications = outer.notifications
        self._key = key
        self._response: bytes | None = None

    def respond(self, reply: Reply) -> Reply:
        """Keeps the response to store it with the key, and returns it."""
        self._response = reply.SerializeToString()
        return reply

    async def begin(self) -> None:
        """Inserts the idempotency key. Raises Replayed or RequestIdReused if it exists already."""
        if self._key is None:
            return
        if await self.run(INSERT, **_parameters(self._key), body_hash=self._key.body_hash):
            return
        await _raise_if_stored(self, self._key)
        raise LookupError("an idempotency key is committed together with its response")

    async def finish(self) -> None:
        """Stores the response. Raises RuntimeError if the body did not call `respond`."""
        if self._response is None:
            raise RuntimeError("the body of a write must call transaction.respond(reply)")
        if self._key is not None:
            await self.run(SET_RESPONSE, **_parameters(self._key), response=self._response)


@asynccontextmanager
async def write(database: Database) -> AsyncIterator[WriteTransaction]:
    """Opens the write transaction of the current call.

    Raises Replayed, which the server turns into the stored response, and RequestIdReused.
    """
    async with database.transaction() as transaction:
        write_transaction = WriteTransaction(transaction, calls.current().idempotency_key)
        await write_transaction.begin()
        yield write_transaction
        await write_transaction.finish()


async def replay(database: Database) -> None:
    """Raises Replayed if the current request was processed before, or RequestIdReused for another request.

    A write calls it before checks that its own first execution makes fail.
    """
    key = calls.current().idempotency_key
    if key is not None:
        await _raise_if_stored(database, key)


def hash_body(secret: bytes, body: bytes) -> bytes:
    """Returns the keyed digest that compares two bodies of one request_id."""
    return hmac.digest(secret, body, hashlib.sha256)


def add_to_body(digest: bytes) -> None:
    """Includes a digest of the later messages of a stream in the body hash of the current call."""
    call = calls.current()
    if call.idempotency_key is not None:
        body_hash = hash_body(call.idempotency_key.body_hash, digest)
        call.idempotency_key = replace(call.idempotency_key, body_hash=body_hash)


async def purge(database: Database) -> None:
    """Deletes keys older than RETENTION every PURGE_INTERVAL. Never returns."""
    await run_forever(
        partial(_purge_once, database),
        "idempotency_keys_not_purged",
        interval=PURGE_INTERVAL.total_seconds(),
    )


async def _purge_once(database: Database) -> None:
    async with database.transaction() as transaction:
        await transaction.run(PURGE, retention=RETENTION)


async def _raise_if_stored(executor: Executor, key: IdempotencyKey) -> None:
    stored = await executor.one(GET, **_parameters(key))
    if stored is None:
        return
    if not hmac.compare_digest(stored.body_hash, key.body_hash):
        raise RequestIdReused(key.request_id)
    raise Replayed(stored.response)


def _parameters(key: IdempotencyKey) -> dict[str, str]:
    return {"principal": key.principal, "method": key.method, "request_id": key.request_id}
