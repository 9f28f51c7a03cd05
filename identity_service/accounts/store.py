"""SQL of the account feed."""

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Interval, bindparam, delete, func, insert, literal, select, update

from chassis.database import Executor, Transaction, columns, statement
from identity_service.tables import AccountEvent, User


class EventRow(NamedTuple):
    """One event of the feed."""

    sequence: int
    user_id: str
    kind: str
    rights_version: int
    created_at: datetime


_BATCH = 1000

# Identity columns commit out of order; under this lock the order of sequences is that of commits.
LOCK = statement(select(func.pg_advisory_xact_lock(func.hashtext("account_feed"))))
LOSE_RIGHTS = statement(
    update(User)
    .where(User.user_id == bindparam("user_id"))
    .values(rights_version=User.rights_version + 1)
    .returning(User.rights_version),
    int,
)
APPEND = statement(
    insert(AccountEvent).from_select(
        ["sequence", "user_id", "kind", "rights_version"],
        select(
            func.coalesce(func.max(AccountEvent.sequence), 0) + 1,
            bindparam("user_id", type_=AccountEvent.user_id.type),
            literal("RIGHTS_LOST"),
            bindparam("rights_version", type_=AccountEvent.rights_version.type),
        ),
    )
)
AFTER = statement(
    select(*columns(EventRow, AccountEvent))
    .where(AccountEvent.sequence > bindparam("after_sequence"))
    .order_by(AccountEvent.sequence)
    .limit(_BATCH),
    EventRow,
)
# The sequence before the first event that is younger than an age, for both ascend together:
# where a replay begins.
BEFORE_AGE = statement(
    select(func.coalesce(func.max(AccountEvent.sequence), 0)).where(
        AccountEvent.created_at < func.now() - bindparam("age", type_=Interval)
    ),
    int,
)
# The last one is kept, however old, for the next takes its number after it.
PURGE = statement(
    delete(AccountEvent).where(
        AccountEvent.created_at < func.now() - bindparam("kept_for", type_=Interval),
        AccountEvent.sequence < select(func.max(AccountEvent.sequence)).scalar_subquery(),
    )
)


async def lose_rights(transaction: Transaction, user_id: str) -> None:
    """Makes every token that the person holds worthless, and tells the feed."""
    rights_version = await transaction.one(LOSE_RIGHTS, user_id=user_id)
    if rights_version is None:
        return
    await transaction.run(LOCK)
    await transaction.run(APPEND, user_id=user_id, rights_version=rights_version)


async def after(executor: Executor, sequence: int) -> list[EventRow]:
    """The next events, at most a batch."""
    return await executor.all(AFTER, after_sequence=sequence)


async def before_age(executor: Executor, age: timedelta) -> int:
    """The last sequence that is older than `age`."""
    return await executor.one(BEFORE_AGE, age=age) or 0


async def purge(transaction: Transaction, kept_for: timedelta) -> None:
    """Deletes the events that are older, but for the last."""
    await transaction.run(PURGE, kept_for=kept_for)
