"""Quotas: how much a user may create or store. Guests have lower quotas.

ADD = statement(
    insert_within_quota(sessions, NewSession._fields, key=sessions.c.session_id).returning(*_SESSION),
    SessionRow,
)
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Insert,
    Table,
    bindparam,
    cast,
    func,
    insert,
    literal_column,
    select,
)

from chassis.calls import caller
from chassis.errors import QuotaExceeded

RETRY_DELAY = timedelta(hours=1)
"""Resources of the last 24 hours count, so that an hour later a part of the quota is usually available."""


class Quota(NamedTuple):
    """A quota of every user, and the lower one of guests."""

    users: int
    guests: int

    def of_caller(self) -> int:
        """Returns the quota of the caller."""
        return self.guests if caller().guest else self.users


def insert_within_quota(table: Table[Any], fields: Sequence[str], key: ColumnElement[str]) -> Insert:
    """Returns a statement that inserts a row unless the user has inserted `quota` rows in the last 24 hours.

    Its parameters are `fields`, of which one is `user_id`, and `quota`. `key` is a UUIDv7, which contains the
    time of the insert. Concurrent calls can exceed the quota by their number.
    """
    recent = (
        select(literal_column("1"))
        .where(table.c.user_id == bindparam("user_id"), key > a_day_ago())
        .limit(bindparam("quota"))
        .subquery("recent")
    )
    values = [cast(bindparam(name), table.c[name].type) for name in fields]
    is_allowed = select(func.count()).select_from(recent).scalar_subquery() < bindparam("quota")
    return insert(table).from_select(fields, select(*values).where(is_allowed))


def a_day_ago() -> ColumnElement[str]:
    """Returns an expression of a UUIDv7 whose time is 24 hours ago."""
    # As a subquery, the volatile function is called once, so that a condition can use the primary key.
    return select(func.uuidv7(literal_column("interval '-1 day'"))).scalar_subquery()


def exceeded(resources: str, quota: int) -> QuotaExceeded:
    """Returns the error of a user who has created `quota` resources, such as `sessions`, in the last 24 hours."""
    return QuotaExceeded(resources, quota, RETRY_DELAY)
