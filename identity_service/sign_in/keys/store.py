"""SQL of the signing keys."""

from datetime import datetime, timedelta

from sqlalchemy import Interval, bindparam, delete, func, insert, select, update

from chassis.database import Executor, Transaction, columns, statement
from identity_service.sign_in.keys.types import KeyRow
from identity_service.tables import signing_keys

CHANNEL = "signing_keys"
"""Notification key: a signing key was added."""

# Only one replica at a time rotates the keys.
LOCK = statement(select(func.pg_advisory_xact_lock(func.hashtext("signing_keys"))))
LIST_ALL = statement(select(*columns(KeyRow, signing_keys)).order_by(signing_keys.c.signs_from), KeyRow)
ADD = statement(insert(signing_keys).values({name: bindparam(name) for name in KeyRow._fields}))
RETIRE = statement(
    update(signing_keys)
    .where(signing_keys.c.kid == bindparam("kid"))
    .values(retired_at=bindparam("retired_at", type_=signing_keys.c.retired_at.type))
)
PURGE = statement(
    delete(signing_keys).where(
        signing_keys.c.retired_at < func.now() - bindparam("retention", type_=Interval)
    )
)


async def lock(transaction: Transaction) -> None:
    """Locks the keys until the transaction ends."""
    await transaction.run(LOCK)


async def list_all(executor: Executor) -> list[KeyRow]:
    """Returns all keys, ordered by the time at which they become active."""
    return await executor.all(LIST_ALL)


async def add(transaction: Transaction, key: KeyRow) -> None:
    """Adds a key and notifies all replicas."""
    await transaction.run(ADD, **key._asdict())
    transaction.notify(CHANNEL)


async def retire(transaction: Transaction, kid: str, retired_at: datetime) -> bool:
    """Sets the time from which a key is no longer published; returns False if there is no such key."""
    return await transaction.run(RETIRE, kid=kid, retired_at=retired_at) > 0


async def purge(transaction: Transaction, retention: timedelta) -> None:
    """Deletes keys that were retired more than `retention` ago."""
    await transaction.run(PURGE, retention=retention)
