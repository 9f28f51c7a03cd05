"""SQL of the account feed."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any

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
    null,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import UUID

from chassis.database import Executor, Transaction, columns, statement
from identity_service.account_feed.types import EventRow, RevokedTokens
from identity_service.tables import account_events, feed_epochs, users

CHANNEL = "account_feed"
"""The notification channel on which new events are announced."""

_BATCH_SIZE = 1000

# Transactions can commit in another order than that in which a sequence hands out numbers. A reader would then
# miss an event. Under this lock, the order of sequence numbers is the order of commits.
LOCK = statement(select(func.pg_advisory_xact_lock(func.hashtext("account_feed"))))
INCREMENT_RIGHTS_VERSION = statement(
    update(users)
    .where(users.c.user_id == bindparam("user_id"))
    .values(rights_version=users.c.rights_version + 1)
    .returning(*columns(RevokedTokens, users)),
    RevokedTokens,
)
_users = (
    func.unnest(bindparam("user_ids", type_=ARRAY(UUID)))
    .table_valued("user_id", name="given")
    .render_derived()
)
_revoked = (
    update(users)
    .where(users.c.user_id == _users.c.user_id)
    .values(rights_version=users.c.rights_version + 1)
    .returning(users.c.user_id, users.c.rights_version)
    .cte("revoked")
)
REVOKE_TOKENS_OF_USERS = statement(
    insert(account_events).from_select(
        ["sequence", "kind", "body", "permanent"],
        select(
            select(func.coalesce(func.max(account_events.c.sequence), 0)).scalar_subquery()
            + func.row_number().over(),
            literal("rights_lost"),
            func.jsonb_build_object(
                "user_id", _revoked.c.user_id, "rights_version", _revoked.c.rights_version
            ),
            false(),
        ).select_from(_revoked),
    )
)
APPEND = statement(
    insert(account_events).from_select(
        ["sequence", "kind", "body", "permanent", "repeat_at"],
        select(
            func.coalesce(func.max(account_events.c.sequence), 0) + 1,
            bindparam("kind", type_=account_events.c.kind.type),
            bindparam("body", type_=account_events.c.body.type),
            bindparam("permanent", type_=account_events.c.permanent.type),
            func.now() + bindparam("repeat_after", type_=Interval),
        ),
    )
)
_due = (
    update(account_events)
    .where(account_events.c.repeat_at <= func.now())
    .values(repeat_at=null())
    .returning(*account_events.c)
    .cte("due")
)
REPEAT_DUE = statement(
    insert(account_events)
    .from_select(
        ["sequence", "kind", "body", "permanent"],
        select(
            select(func.max(account_events.c.sequence)).scalar_subquery()
            + func.row_number().over(order_by=_due.c.sequence),
            _due.c.kind,
            _due.c.body.concat(func.jsonb_build_object("repetition", true())),
            _due.c.permanent,
        ).select_from(_due),
    )
    .returning(account_events.c.sequence),
    int,
)
LIST_AFTER = statement(
    select(*columns(EventRow, account_events))
    .where(account_events.c.sequence > bindparam("after_sequence"))
    .order_by(account_events.c.sequence)
    .limit(_BATCH_SIZE),
    EventRow,
)
# A replay begins after the last event that is older than the age. Sequence and time ascend together, so this is
# the event with the highest sequence.
GET_LAST_SEQUENCE_BEFORE = statement(
    select(func.coalesce(func.max(account_events.c.sequence), 0)).where(
        account_events.c.created_at < func.now() - bindparam("age", type_=Interval)
    ),
    int,
)
GET_EPOCH = statement(select(feed_epochs.c.epoch).order_by(feed_epochs.c.epoch.desc()).limit(1), str)
_last = select(func.max(account_events.c.sequence)).scalar_subquery()
# The last event is always kept, because the next sequence number is derived from it.
DELETE_EXPIRED = statement(
    delete(account_events).where(
        account_events.c.permanent.is_(False),
        account_events.c.created_at < func.now() - bindparam("retention", type_=Interval),
        account_events.c.sequence < _last,
    )
)
# Only the last settings of a user count. After an erasure, none are kept, because they contain personal data.
DELETE_SUPERSEDED_SETTINGS = statement(
    delete(account_events).where(
        account_events.c.kind == literal_column("'settings_changed'"),
        account_events.c.body["user_id"].astext == bindparam("user_id"),
        account_events.c.sequence != _last,
    )
)


async def increment_rights_version(transaction: Transaction, user_id: str) -> RevokedTokens | None:
    """Increments the rights version of a user and returns it, or None if the user does not exist."""
    return await transaction.one(INCREMENT_RIGHTS_VERSION, user_id=user_id)


async def revoke_tokens_of_users(transaction: Transaction, user_ids: Collection[str]) -> None:
    """Increments the rights version of many users and appends the events."""
    await transaction.run(LOCK)
    await transaction.run(REVOKE_TOKENS_OF_USERS, user_ids=[*user_ids])
    transaction.notify(CHANNEL)


async def append(
    transaction: Transaction,
    kind: str,
    body: dict[str, Any],
    *,
    permanent: bool = False,
    repeat_after: timedelta | None = None,
) -> None:
    """Appends an event and notifies the followers of the feed after the commit.

    `repeat_after` is the time after which `repeat_due` appends the event once more.
    """
    await transaction.run(LOCK)
    await transaction.run(APPEND, kind=kind, body=body, permanent=permanent, repeat_after=repeat_after)
    transaction.notify(CHANNEL)


async def repeat_due(transaction: Transaction) -> None:
    """Appends the events once more whose repetition is due, with `repetition` in the body."""
    await transaction.run(LOCK)
    if await transaction.all(REPEAT_DUE):
        transaction.notify(CHANNEL)


async def delete_superseded_settings(transaction: Transaction, user_id: str) -> None:
    """Deletes the events of earlier settings of a user."""
    await transaction.run(DELETE_SUPERSEDED_SETTINGS, user_id=user_id)


async def list_after(executor: Executor, sequence: int) -> list[EventRow]:
    """Returns the next events, at most 1,000."""
    return await executor.all(LIST_AFTER, after_sequence=sequence)


async def get_last_sequence_before(executor: Executor, age: timedelta) -> int:
    """Returns the sequence of the last event that is older than `age`, or 0."""
    return await executor.one(GET_LAST_SEQUENCE_BEFORE, age=age) or 0


async def get_epoch(executor: Executor) -> str:
    """Returns the epoch to which the sequences belong."""
    epoch = await executor.one(GET_EPOCH)
    assert epoch is not None, "the migration that creates the table inserts its first row"
    return epoch


async def delete_expired(transaction: Transaction, retention: timedelta) -> None:
    """Deletes events that are older than the retention, except permanent events and the last one."""
    await transaction.run(DELETE_EXPIRED, retention=retention)
