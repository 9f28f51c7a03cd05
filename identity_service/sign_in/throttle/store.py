"""SQL of failed sign-in attempts."""

from datetime import timedelta

from sqlalchemy import ColumnElement, Interval, bindparam, case, delete, func, literal, select
from sqlalchemy.dialects.postgresql import insert as upsert

from chassis.database import Executor, Transaction, statement
from identity_service.sign_in.throttle import rules
from identity_service.tables import sign_in_failures


def _delay(times: int = 1) -> ColumnElement[timedelta]:
    """`rules.BACKOFF` as SQL, so that the check and the update are one atomic statement."""
    steps = ((failures, literal(delay * times, Interval)) for failures, delay in reversed(rules.BACKOFF))
    return case(
        *((sign_in_failures.c.failures >= failures, delay) for failures, delay in steps), else_=timedelta()
    )


_THE_COUNTER = sign_in_failures.c.identifier_hash == bindparam("identifier_hash")
_NEXT_ATTEMPT_AT = sign_in_failures.c.failed_at + _delay()
# Concurrent attempts queue on the row, and each reads the count of its predecessors. clock_timestamp() is
# required: now() is the time at which an attempt began to queue.
COUNT_ATTEMPT = statement(
    upsert(sign_in_failures)
    .values(identifier_hash=bindparam("identifier_hash"), failures=1, failed_at=func.clock_timestamp())
    .on_conflict_do_update(
        index_elements=["identifier_hash"],
        set_={"failures": sign_in_failures.c.failures + 1, "failed_at": func.clock_timestamp()},
        where=func.clock_timestamp() >= _NEXT_ATTEMPT_AT,
    )
    .returning(sign_in_failures.c.failures),
    int,
)
GET_DELAY = statement(select(_NEXT_ATTEMPT_AT - func.clock_timestamp()).where(_THE_COUNTER), timedelta)
RESET_FAILURES = statement(
    delete(sign_in_failures).where(_THE_COUNTER).returning(sign_in_failures.c.failures), int
)
PURGE = statement(
    delete(sign_in_failures).where(
        sign_in_failures.c.failed_at < func.now() - bindparam("retention", type_=Interval),
        sign_in_failures.c.failed_at < func.now() - _delay(rules.MIN_BACKOFFS_KEPT),
    )
)


async def count_attempt(executor: Executor, counter_key: bytes) -> bool:
    """Counts an attempt as a failure; returns False, and does not count it, if it must be delayed."""
    return await executor.one(COUNT_ATTEMPT, identifier_hash=counter_key) is not None


async def get_delay(executor: Executor, counter_key: bytes) -> timedelta:
    """Returns the time until the next attempt is allowed."""
    remaining = await executor.one(GET_DELAY, identifier_hash=counter_key)
    return max(remaining or timedelta(), timedelta())


async def reset_failures(executor: Executor, counter_key: bytes) -> None:
    """Deletes the count of failures."""
    await executor.one(RESET_FAILURES, identifier_hash=counter_key)


async def purge(transaction: Transaction, retention: timedelta) -> None:
    """Deletes failures that are older than `retention` and than `rules.MIN_BACKOFFS_KEPT` delays."""
    await transaction.run(PURGE, retention=retention)
