"""Every write is idempotent under its request_id.

The row that remembers a request is inserted first in the transaction of its effect, and
given the answer before that commits: effect and memory are one. A repetition that runs at
the same time waits for the first on that row's key, and then replays its answer.

    async with write(database) as transaction:
        row = await store.create(transaction, ...)
        return transaction.answer(to_message(row))
"""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar

import structlog
from google.protobuf.message import Message
from sqlalchemy import (
    DateTime,
    Interval,
    LargeBinary,
    Text,
    bindparam,
    column,
    delete,
    func,
    literal,
    or_,
    select,
    table,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from chassis import calls
from chassis.calls import Claim
from chassis.database import Database, Executor, Transaction, statement
from chassis.errors import RequestIdReused

KEPT_FOR = timedelta(hours=24)
PURGE_EVERY = timedelta(minutes=10)

log = structlog.get_logger()

Reply = TypeVar("Reply", bound=Message)


class RequestMemory:
    """The table that remembers requests; every service's `tables.py` declares its own.

    Its key begins with the principal: a person's id, or the name of a service.
    """

    __tablename__ = "request_memory"

    principal: Mapped[str] = mapped_column(Text, primary_key=True)
    method: Mapped[str] = mapped_column(Text, primary_key=True)
    request_id: Mapped[str] = mapped_column(Text, primary_key=True)
    body_hash: Mapped[bytes] = mapped_column(LargeBinary)
    answer: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), index=True
    )


_memory = table(
    "request_memory",
    column("principal", Text),
    column("method", Text),
    column("request_id", Text),
    column("body_hash", LargeBinary),
    column("answer", LargeBinary),
    column("created_at", DateTime(timezone=True)),
)
_of_request = (
    (_memory.c.principal == bindparam("principal"))
    & (_memory.c.method == bindparam("method"))
    & (_memory.c.request_id == bindparam("request_id"))
)


class _Remembered(NamedTuple):
    body_hash: bytes
    answer: bytes


CLAIM = statement(
    insert(_memory)
    .values({name: bindparam(name) for name in ("principal", "method", "request_id", "body_hash")})
    .on_conflict_do_nothing()
)
RECALL = statement(select(_memory.c.body_hash, _memory.c.answer).where(_of_request), _Remembered)
ANSWER = statement(update(_memory).values(answer=bindparam("answer")).where(_of_request))
# Answers to others may hold what the person is called.
FORGET = statement(
    delete(_memory).where(
        or_(
            _memory.c.principal == bindparam("user_id"),
            func.position(
                func.convert_to(bindparam("user_id", type_=Text), literal("UTF8")).op("IN")(_memory.c.answer)
            )
            > 0,
        )
    )
)
PURGE = statement(
    delete(_memory).where(_memory.c.created_at < func.now() - bindparam("kept_for", type_=Interval))
)


class Replayed(Exception):
    """The request was answered before; this is the answer, serialised."""

    def __init__(self, answer: bytes) -> None:
        super().__init__("replayed")
        self.answer = answer


class WriteTransaction(Transaction):
    """The transaction of a write's effect. It ends with `answer`, or with an exception."""

    def __init__(self, around: Transaction, claim: Claim | None) -> None:
        super().__init__(around.connection)
        self.rung = around.rung
        self._claim = claim
        self._answer: bytes | None = None

    def answer(self, reply: Reply) -> Reply:
        """Remembers what the call answers, and returns it."""
        self._answer = reply.SerializeToString()
        return reply

    async def begin(self) -> None:
        """Claims the request_id. Raises Replayed or RequestIdReused where it was used before."""
        if self._claim is None:
            return
        if await self.run(CLAIM, **_key(self._claim), body_hash=self._claim.body_hash):
            return
        await _recall(self, self._claim)
        raise LookupError("a request is claimed and answered in one transaction")

    async def finish(self) -> None:
        """Stores the answer. Raises RuntimeError where the body gave none."""
        if self._answer is None:
            raise RuntimeError("a write ends with transaction.answer(reply)")
        if self._claim is not None:
            await self.run(ANSWER, **_key(self._claim), answer=self._answer)


@asynccontextmanager
async def write(database: Database) -> AsyncIterator[WriteTransaction]:
    """Opens the transaction of the current call's effect, under its request_id.

    Raises Replayed, which the server turns into the stored answer, and RequestIdReused.
    """
    async with database.transaction() as transaction:
        effect = WriteTransaction(transaction, calls.current().claim)
        await effect.begin()
        yield effect
        await effect.finish()


async def replay(database: Database) -> None:
    """Answers the current request if it was answered before; does nothing otherwise.

    For a write that cannot be done now, though it may have been done once. Raises Replayed, and
    RequestIdReused.
    """
    claim = calls.current().claim
    if claim is not None:
        await _recall(database, claim)


def hash_body(secret: bytes, body: bytes) -> bytes:
    """The keyed digest by which two bodies under one request_id are compared."""
    return hmac.digest(secret, body, hashlib.sha256)


def add_to_body(digest: bytes) -> None:
    """Counts a digest of what followed the first message of a stream as part of the body."""
    call = calls.current()
    if call.claim is not None:
        call.claim = replace(call.claim, body_hash=hash_body(call.claim.body_hash, digest))


async def purge(database: Database) -> None:
    """Forgets requests older than KEPT_FOR, for ever."""
    while True:
        try:
            async with database.transaction() as transaction:
                await transaction.run(PURGE, kept_for=KEPT_FOR)
        except Exception as error:
            log.warning("requests_not_purged", error=repr(error))
        await asyncio.sleep(PURGE_EVERY.total_seconds())


async def _recall(executor: Executor, claim: Claim) -> None:
    remembered = await executor.one(RECALL, **_key(claim))
    if remembered is None:
        return
    if not hmac.compare_digest(remembered.body_hash, claim.body_hash):
        raise RequestIdReused(claim.request_id)
    raise Replayed(remembered.answer)


def _key(claim: Claim) -> dict[str, str]:
    return {"principal": claim.principal, "method": claim.method, "request_id": claim.request_id}
