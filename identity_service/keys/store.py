"""SQL of the signing keys."""

from typing import Any, NamedTuple

from sqlalchemy import bindparam, func, insert, null, or_, select

from chassis.database import Executor, Transaction, columns, statement
from identity_service.tables import SigningKey


class KeyRow(NamedTuple):
    """A key: `private_key` is encrypted."""

    kid: str
    private_key: bytes
    public_jwk: dict[str, Any]


# Waits for whoever makes the first key at this moment.
LOCK = statement(select(func.pg_advisory_xact_lock(func.hashtext("signing_keys"))))
ALL = statement(
    select(*columns(KeyRow, SigningKey))
    .where(or_(SigningKey.retired_at == null(), SigningKey.retired_at > func.now()))
    .order_by(SigningKey.signs_from.desc()),
    KeyRow,
)
SIGNING = statement(
    select(*columns(KeyRow, SigningKey))
    .where(SigningKey.signs_from <= func.now(), SigningKey.retired_at == null())
    .order_by(SigningKey.signs_from.desc())
    .limit(1),
    KeyRow,
)
ADD = statement(
    insert(SigningKey).values(
        kid=bindparam("kid"), private_key=bindparam("private_key"), public_jwk=bindparam("public_jwk")
    )
)


async def lock(transaction: Transaction) -> None:
    """Keeps others from making a key until the transaction ends."""
    await transaction.run(LOCK)


async def published(executor: Executor) -> list[KeyRow]:
    """Every key that may have signed a token that still holds."""
    return await executor.all(ALL)


async def signing(executor: Executor) -> KeyRow | None:
    """The key that signs now."""
    return await executor.one(SIGNING)


async def add(transaction: Transaction, key: KeyRow) -> None:
    """Adds a key that signs from now on."""
    await transaction.run(ADD, **key._asdict())
