"""SQL of the account feed."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    Interval,
    bindparam,
    delete,
    false,
    func,
    insert,
    literal,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import UUID

from chassis.database import Executor, Transaction, columns, statement
from identity_service.tables import AccountEvent, FeedEpoch, User
from meno.access.v1.access_pb2 import ClassState

RING = "account_feed"
"""What rings when an event was appended."""


class EventRow(NamedTuple):
    """One event of the feed."""

    sequence: int
    kind: str
    body: dict[str, Any]
    created_at: datetime


class _Lost(NamedTuple):
    user_id: str
    """As tokens spell it, however the caller did."""
    rights_version: int


_BATCH = 1000

# Identity columns commit out of order; under this lock the order of sequences is that of commits.
LOCK = statement(select(func.pg_advisory_xact_lock(func.hashtext("account_feed"))))
LOSE_RIGHTS = statement(
    update(User)
    .where(User.user_id == bindparam("user_id"))
    .values(rights_version=User.rights_version + 1)
    .returning(*columns(_Lost, User)),
    _Lost,
)
_many = (
    func.unnest(bindparam("user_ids", type_=ARRAY(UUID)))
    .table_valued("user_id", name="given")
    .render_derived()
)
_lost = (
    update(User)
    .where(User.user_id == _many.c.user_id)
    .values(rights_version=User.rights_version + 1)
    .returning(User.user_id, User.rights_version)
    .cte("lost")
)
LOSE_RIGHTS_OF_MANY = statement(
    insert(AccountEvent).from_select(
        ["sequence", "kind", "body", "lasting"],
        select(
            select(func.coalesce(func.max(AccountEvent.sequence), 0)).scalar_subquery()
            + func.row_number().over(),
            literal("rights_lost"),
            func.jsonb_build_object("user_id", _lost.c.user_id, "rights_version", _lost.c.rights_version),
            false(),
        ).select_from(_lost),
    )
)
APPEND = statement(
    insert(AccountEvent).from_select(
        ["sequence", "kind", "body", "lasting"],
        select(
            func.coalesce(func.max(AccountEvent.sequence), 0) + 1,
            bindparam("kind", type_=AccountEvent.kind.type),
            bindparam("body", type_=AccountEvent.body.type),
            bindparam("lasting", type_=AccountEvent.lasting.type),
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
EPOCH = statement(select(FeedEpoch.epoch).order_by(FeedEpoch.epoch.desc()).limit(1), str)
_last = select(func.max(AccountEvent.sequence)).scalar_subquery()
# The last one is kept, however old, for the next takes its number after it.
PURGE = statement(
    delete(AccountEvent).where(
        AccountEvent.lasting.is_(False),
        AccountEvent.created_at < func.now() - bindparam("kept_for", type_=Interval),
        AccountEvent.sequence < _last,
    )
)
# Likewise. Only the last settings count, and none after an erasure: they name the person's time zone.
SUPERSEDE_SETTINGS = statement(
    delete(AccountEvent).where(
        AccountEvent.kind == literal_column("'settings_changed'"),
        AccountEvent.body["user_id"].astext == bindparam("user_id"),
        AccountEvent.sequence != _last,
    )
)


async def lose_rights(transaction: Transaction, user_id: str) -> None:
    """Makes every token that the person holds worthless, and tells the feed."""
    lost = await transaction.one(LOSE_RIGHTS, user_id=user_id)
    if lost is not None:
        await _append(transaction, "rights_lost", **lost._asdict())


async def lose_rights_of_many(transaction: Transaction, user_ids: Collection[str]) -> None:
    """Does the same for many people at once."""
    if user_ids:
        await transaction.run(LOCK)
        await transaction.run(LOSE_RIGHTS_OF_MANY, user_ids=[*user_ids])
        transaction.ring(RING)


async def end_sign_in(transaction: Transaction, user_id: str, sign_in_id: str) -> None:
    """Makes every token of a sign-in worthless."""
    await _append(transaction, "sign_in_ended", user_id=user_id, sign_in_id=sign_in_id)


async def change_class(transaction: Transaction, class_id: str, state: ClassState.ValueType) -> None:
    """Tells that a class is in this state now."""
    await _append(transaction, "class_changed", lasting=True, class_id=class_id, state=ClassState.Name(state))


async def erase_user(transaction: Transaction, user_id: str) -> None:
    """Has every service delete whatever names the person."""
    await _append(transaction, "user_erased", lasting=True, user_id=user_id)
    await transaction.run(SUPERSEDE_SETTINGS, user_id=user_id)


async def merge_user(transaction: Transaction, user_id: str, into_user_id: str) -> None:
    """Has every service make what is the guest's the person's."""
    await _append(transaction, "user_merged", lasting=True, user_id=user_id, into_user_id=into_user_id)


async def change_settings(
    transaction: Transaction, user_id: str, time_zone: str, *, keep_practice_history: bool
) -> None:
    """Tells the settings that other services need."""
    await _append(
        transaction,
        "settings_changed",
        lasting=True,
        user_id=user_id,
        time_zone=time_zone,
        keep_practice_history=keep_practice_history,
    )
    await transaction.run(SUPERSEDE_SETTINGS, user_id=user_id)


async def after(executor: Executor, sequence: int) -> list[EventRow]:
    """The next events, at most a batch."""
    return await executor.all(AFTER, after_sequence=sequence)


async def before_age(executor: Executor, age: timedelta) -> int:
    """The last sequence that is older than `age`."""
    return await executor.one(BEFORE_AGE, age=age) or 0


async def epoch(executor: Executor) -> str:
    """To what the sequences belong."""
    found = await executor.one(EPOCH)
    assert found is not None, "the migration that makes the table adds its first row"
    return found


async def purge(transaction: Transaction, kept_for: timedelta) -> None:
    """Deletes the events that are older and have no lasting effect, but for the last."""
    await transaction.run(PURGE, kept_for=kept_for)


async def _append(transaction: Transaction, kind: str, *, lasting: bool = False, **body: object) -> None:
    await transaction.run(LOCK)
    await transaction.run(APPEND, kind=kind, body=body, lasting=lasting)
    transaction.ring(RING)
