"""SQL of one-time codes."""

from datetime import datetime, timedelta

from sqlalchemy import Integer, Interval, bindparam, case, delete, func, null, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from chassis.database import Executor, Transaction, statement
from identity_service.sign_in.codes import rules
from identity_service.sign_in.codes.types import CodeRow
from identity_service.tables import one_time_codes

_THE_ADDRESS = one_time_codes.c.address_hash == bindparam("address_hash")
_SEND_WINDOW_ENDED = one_time_codes.c.sent_at <= func.now() - rules.SEND_WINDOW

_REPLACE = upsert(one_time_codes).values(
    address_hash=bindparam("address_hash"),
    code_hash=bindparam("code_hash"),
    sent_at=func.now(),
    expires_at=func.now() + rules.LIFETIME,
)
# Returns no row if the limit is reached.
REPLACE = statement(
    _REPLACE.on_conflict_do_update(
        index_elements=["address_hash"],
        set_={
            "code_hash": _REPLACE.excluded.code_hash,
            "sent": case((_SEND_WINDOW_ENDED, 1), else_=one_time_codes.c.sent + 1),
            "sent_at": _REPLACE.excluded.sent_at,
            "expires_at": _REPLACE.excluded.expires_at,
        },
        where=or_(one_time_codes.c.sent < bindparam("max_sends", type_=Integer), _SEND_WINDOW_ENDED),
    ).returning(one_time_codes.c.expires_at),
    datetime,
)
GET_DELAY = statement(
    select(one_time_codes.c.sent_at + rules.SEND_WINDOW - func.now()).where(_THE_ADDRESS), timedelta
)
GET_FOR_UPDATE = statement(
    select(one_time_codes.c.code_hash, one_time_codes.c.expires_at <= func.now())
    .where(_THE_ADDRESS)
    .with_for_update(),
    CodeRow,
)
INVALIDATE = statement(update(one_time_codes).where(_THE_ADDRESS).values(code_hash=null()))
PURGE = statement(
    delete(one_time_codes).where(
        one_time_codes.c.expires_at < func.now() - bindparam("retention", type_=Interval)
    )
)


async def replace(
    executor: Executor, address_hash: bytes, code_hash: bytes | None, max_sends: int
) -> datetime | None:
    """Replaces the code of an address and returns its expiry, or None if the limit is reached."""
    return await executor.one(REPLACE, address_hash=address_hash, code_hash=code_hash, max_sends=max_sends)


async def get_delay(executor: Executor, address_hash: bytes) -> timedelta:
    """Returns the time until another code may be sent to an address that has reached the limit."""
    remaining = await executor.one(GET_DELAY, address_hash=address_hash)
    return max(remaining or timedelta(), timedelta())


async def get_for_update(transaction: Transaction, address_hash: bytes) -> CodeRow | None:
    """Returns the last code of an address, or None, and locks it until the transaction ends."""
    return await transaction.one(GET_FOR_UPDATE, address_hash=address_hash)


async def invalidate(transaction: Transaction, address_hash: bytes) -> None:
    """Invalidates the code of an address."""
    await transaction.run(INVALIDATE, address_hash=address_hash)


async def purge(transaction: Transaction, retention: timedelta) -> None:
    """Deletes the codes that expired more than `retention` ago, with their counts."""
    await transaction.run(PURGE, retention=retention)
