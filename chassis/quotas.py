"""Quotas: how much a user may create or store. Guests have lower quotas.

ADD = statement(
    insert(sessions).from_select(
        NewSession._fields, select(*values).where(below_daily_quota(sessions.c.user_id, sessions.c.session_id))
    )
)
"""

from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import Column, ColumnElement, bindparam, func, literal_column, select

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


def below_daily_quota(user_id: Column[str], key: Column[str]) -> ColumnElement[bool]:
    """Returns the condition that a user has created fewer than `quota` rows in the last 24 hours.

    `key` is a UUIDv7, which contains the time of creation. The parameters of the condition are `user_id` and
    `quota`. Concurrent calls can exceed the quota by their number.
    """
    # As a subquery, the volatile function is called once, so that the condition can use the primary key.
    a_day_ago = select(func.uuidv7(literal_column("interval '-1 day'"))).scalar_subquery()
    recent = (
        select(literal_column("1"))
        .where(user_id == bindparam("user_id"), key > a_day_ago)
        .limit(bindparam("quota"))
        .subquery("recent")
    )
    return select(func.count()).select_from(recent).scalar_subquery() < bindparam("quota")


def exceeded(resources: str, quota: int) -> QuotaExceeded:
    """Returns the error of a user who has created `quota` resources, such as `sessions`, in the last 24 hours."""
    return QuotaExceeded(resources, quota, RETRY_DELAY)
