"""SQL of the signing keys."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Interval, bindparam, delete, func, insert, select, update

from chassis.database import Executor, Transaction, columns, statement
from identity_service.tables import SigningKey

RING = "signing_keys"
"""What rings when a key was added."""


class KeyRow(NamedTuple):
    """A key: `private_key` is encrypted."""

    kid: str
    private_key: bytes
    public_jwk: dict[str, Any]
    signs_from: datetime
    retired_at: datetime | None = None


# One replica at a time looks after the keys.
LOCK = statement(select(func.pg_advisory_xact_lock(func.hashtext("signing_keys"))))
ALL = statement(select(*columns(KeyRow, SigningKey)).order_by(SigningKey.signs_from), KeyRow)
ADD = statement(insert(SigningKey).values({name: bindparam(name) for name in KeyRow._fields}))
RETIRE = statement(
    update(SigningKey)
    .where(SigningKey.kid == bindparam("kid"))
    .values(retired_at=bindparam("retired_at", type_=SigningKey.retired_at.type))
)
PURGE = statement(
    delete(SigningKey).where(SigningKey.retired_at < func.now() - bindparam("kept_for", type_=Interval))
)


async def lock(transaction: Transaction) -> None:
    """Keeps others from changing the keys until the transaction ends."""
    await transaction.run(LOCK)


async def every(executor: Executor) -> list[KeyRow]:
    """The keys, in the order in which they sign."""
    return await executor.all(ALL)


async def add(transaction: Transaction, key: KeyRow) -> None:
    """Adds a key; every replica reads it at once."""
    await transaction.run(ADD, **key._asdict())
    transaction.ring(RING)


async def retire(transaction: Transaction, kid: str, retired_at: datetime) -> None:
    """Says from when on a key is not published any more."""
    await transaction.run(RETIRE, kid=kid, retired_at=retired_at)


async def purge(transaction: Transaction, kept_for: timedelta) -> None:
    """Deletes the keys that were retired longer ago than this."""
    await transaction.run(PURGE, kept_for=kept_for)
