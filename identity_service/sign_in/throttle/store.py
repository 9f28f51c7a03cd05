"""SQL of failed sign-in attempts."""

from datetime import timedelta

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Interval,
    LargeBinary,
    bindparam,
    case,
    cast,
    delete,
    func,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from chassis.database import Executor, Transaction, statement
from identity_service.sign_in.throttle import rules
from identity_service.sign_in.throttle.rules import Counter
from identity_service.tables import sign_in_failures


def _delay(times: int = 1) -> ColumnElement[timedelta]:
    """`rules.BACKOFF` as SQL, so that the check and the update are one atomic statement."""
    steps = ((failures, literal(delay * times, Interval)) for failures, delay in reversed(rules.BACKOFF))
    return case(
        *((sign_in_failures.c.failures >= failures, delay) for failures, delay in steps), else_=timedelta()
    )


_OF_NAME = sign_in_failures.c.identifier_hash == bindparam("identifier_hash")
_OF_NETWORK = sign_in_failures.c.network_hash == bindparam("network_hash")
_NEXT_ATTEMPT_AT = sign_in_failures.c.failed_at + _delay()
_NEXT_ATTEMPT_AT_NAME = case(
    (
        func.sum(sign_in_failures.c.failures) >= rules.MAX_FAILURES_OF_NAME,
        func.max(sign_in_failures.c.failed_at) + literal(rules.DELAY_OF_NAME, Interval),
    )
)
_NAME_MAY_TRY = func.coalesce(func.clock_timestamp() >= _NEXT_ATTEMPT_AT_NAME, literal(True))
_INSERTED = select(
    bindparam("identifier_hash", type_=LargeBinary),
    bindparam("network_hash", type_=LargeBinary),
    cast(literal(1), BigInteger),
    func.clock_timestamp(),
)
# Concurrent attempts of one network queue on the row, and each reads the count of its predecessors.
# clock_timestamp() is required: now() is the time at which an attempt began to queue. Attempts of different
# networks do not queue, so that their sum can exceed the limit by the number of networks that try at once.
COUNT_ATTEMPT = statement(
    upsert(sign_in_failures)
    .from_select(
        ["identifier_hash", "network_hash", "failures", "failed_at"],
        _INSERTED.where(select(_NAME_MAY_TRY).where(_OF_NAME).scalar_subquery()),
    )
    .on_conflict_do_update(
        index_elements=["identifier_hash", "network_hash"],
        set_={"failures": sign_in_failures.c.failures + 1, "failed_at": func.clock_timestamp()},
        where=func.clock_timestamp() >= _NEXT_ATTEMPT_AT,
    )
    .returning(sign_in_failures.c.failures),
    int,
)
GET_DELAY = statement(
    select(
        func.greatest(func.max(_NEXT_ATTEMPT_AT).filter(_OF_NETWORK), _NEXT_ATTEMPT_AT_NAME)
        - func.clock_timestamp()
    ).where(_OF_NAME),
    timedelta,
)
GET_FAILURES = statement(select(sign_in_failures.c.failures).where(_OF_NAME, _OF_NETWORK), int)
RESET_FAILURES = statement(
    delete(sign_in_failures).where(_OF_NAME).returning(sign_in_failures.c.failures), int
)
PURGE = statement(
    delete(sign_in_failures).where(
        sign_in_failures.c.failed_at < func.now() - bindparam("retention", type_=Interval),
        sign_in_failures.c.failed_at < func.now() - _delay(rules.MIN_BACKOFFS_KEPT),
    )
)


async def count_attempt(executor: Executor, counter: Counter) -> bool:
    """Counts an attempt as a failure; returns False, and does not count it, if it must be delayed."""
    return await executor.one(COUNT_ATTEMPT, **counter._asdict()) is not None


async def get_delay(executor: Executor, counter: Counter) -> timedelta:
    """Returns the time until the next attempt is allowed."""
    remaining = await executor.one(GET_DELAY, **counter._asdict())
    return max(remaining or timedelta(), timedelta())


async def get_failures(executor: Executor, counter: Counter) -> int:
    """Returns the number of consecutive failures."""
    return await executor.one(GET_FAILURES, **counter._asdict()) or 0


async def reset_failures(executor: Executor, identifier_hash: bytes) -> None:
    """Deletes the failures of a name in all networks."""
    await executor.all(RESET_FAILURES, identifier_hash=identifier_hash)


async def purge(transaction: Transaction, retention: timedelta) -> None:
    """Deletes failures that are older than `retention` and than `rules.MIN_BACKOFFS_KEPT` delays."""
    await transaction.run(PURGE, retention=retention)
