"""SQL of one-time codes."""

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Interval, bindparam, case, delete, func, null, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from chassis.database import Executor, Transaction, statement
from identity_service.sign_in.codes import rules
from identity_service.tables import OneTimeCode


class CodeRow(NamedTuple):
    """The last code for an address; without a hash where it serves no more."""

    code_hash: bytes | None
    expired: bool


_THE_ADDRESS = OneTimeCode.address_hash == bindparam("address_hash")
_FORGOTTEN = OneTimeCode.sent_at <= func.now() - rules.SENT_FORGOTTEN_AFTER

_ISSUE = upsert(OneTimeCode).values(
    address_hash=bindparam("address_hash"),
    code_hash=bindparam("code_hash"),
    sent_at=func.now(),
    expires_at=func.now() + rules.LIFETIME,
)
# No row comes back where too many were sent.
ISSUE = statement(
    _ISSUE.on_conflict_do_update(
        index_elements=["address_hash"],
        set_={
            "code_hash": _ISSUE.excluded.code_hash,
            "attempts": 0,
            "sent": case((_FORGOTTEN, 1), else_=OneTimeCode.sent + 1),
            "sent_at": _ISSUE.excluded.sent_at,
            "expires_at": _ISSUE.excluded.expires_at,
        },
        where=or_(OneTimeCode.sent < rules.MOST_SENT, _FORGOTTEN),
    ).returning(OneTimeCode.expires_at),
    datetime,
)
WAIT = statement(
    select(OneTimeCode.sent_at + rules.SENT_FORGOTTEN_AFTER - func.now()).where(_THE_ADDRESS), timedelta
)
LOCKED = statement(
    select(OneTimeCode.code_hash, OneTimeCode.expires_at <= func.now()).where(_THE_ADDRESS).with_for_update(),
    CodeRow,
)
END = statement(update(OneTimeCode).where(_THE_ADDRESS).values(code_hash=null()))
COUNT_WRONG = statement(
    update(OneTimeCode)
    .where(_THE_ADDRESS)
    .values(
        attempts=OneTimeCode.attempts + 1,
        code_hash=case((OneTimeCode.attempts + 1 >= rules.ATTEMPTS, null()), else_=OneTimeCode.code_hash),
    )
)
PURGE = statement(
    delete(OneTimeCode).where(OneTimeCode.expires_at < func.now() - bindparam("kept_for", type_=Interval))
)


async def issue(executor: Executor, address_hash: bytes, code_hash: bytes) -> datetime | None:
    """Puts a code in place of any other and returns when it expires; None where too many were sent."""
    return await executor.one(ISSUE, address_hash=address_hash, code_hash=code_hash)


async def wait(executor: Executor, address_hash: bytes) -> timedelta:
    """How long the next code has to wait where too many were sent."""
    remaining = await executor.one(WAIT, address_hash=address_hash)
    return max(remaining or timedelta(), timedelta())


async def locked(transaction: Transaction, address_hash: bytes) -> CodeRow | None:
    """The last code for an address, which nobody else redeems until the transaction ends."""
    return await transaction.one(LOCKED, address_hash=address_hash)


async def end(transaction: Transaction, address_hash: bytes) -> None:
    """Makes a code serve no more."""
    await transaction.run(END, address_hash=address_hash)


async def count_wrong(transaction: Transaction, address_hash: bytes) -> None:
    """Counts a wrong attempt, the last of which ends the code."""
    await transaction.run(COUNT_WRONG, address_hash=address_hash)


async def purge(transaction: Transaction, kept_for: timedelta) -> None:
    """Deletes codes that expired longer ago than this, and what was counted of them."""
    await transaction.run(PURGE, kept_for=kept_for)
