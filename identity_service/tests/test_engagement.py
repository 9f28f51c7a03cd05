"""Engagement statistics, over gRPC."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from chassis.testing import expect_error, read_pages
from identity_service.tests.conftest import Identity, Person
from meno.identity.v1.resources_pb2 import EngagementStats
from meno.identity.v1.user_service_pb2 import GetEngagementStatsRequest, ListInactiveUsersRequest

TODAY = "date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'"
"""The start of today in UTC."""


def insert_user(identity: Identity, days_inactive: float, **columns: Any) -> str:
    """Inserts a user who last studied so many days ago, and returns the user id."""
    values = {
        "user_id": str(uuid.uuid4()),
        "display_name": "A",
        "nickname": "AA",
        "role": "STUDENT",
        **columns,
    }
    inactive_for = timedelta(days=days_inactive)
    names, parameters = ", ".join(values), ", ".join(f"%({name})s" for name in values)
    query = f"INSERT INTO users ({names}, last_active_at) VALUES ({parameters}, now() - %(inactive_for)s)"
    identity.execute_sql(query, inactive_for=inactive_for, **values)
    return str(values["user_id"])


async def list_inactive(identity: Identity, admin: Person, days: int = 0) -> list[str]:
    request = ListInactiveUsersRequest(page_size=2, days=days)
    pages = read_pages(identity.users.ListInactiveUsers, request, **admin.auth)
    return [user.user_id async for page in pages for user in page.users]


async def test_inactive_users_are_listed_longest_first(identity: Identity) -> None:
    admin, now = await identity.sign_up_admin(), datetime.now(UTC)
    inactive = {days: insert_user(identity, days) for days in (13.9, 14.1, 30, 90, 15, 15.5)}
    for excluded in (
        {"guest": True},
        {"deleted_at": now},
        {"deactivated_at": now},
        {"merged_into_user_id": inactive[30]},
    ):
        insert_user(identity, 50, **excluded)
    assert await list_inactive(identity, admin) == [inactive[days] for days in (90, 30, 15.5, 15, 14.1)]
    assert await list_inactive(identity, admin, days=31) == [inactive[90]]
    assert await list_inactive(identity, admin, days=1) == [
        inactive[days] for days in (90, 30, 15.5, 15, 14.1, 13.9)
    ]


async def test_users_with_the_same_last_activity_are_all_listed(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    inactive = {insert_user(identity, 20) for _ in range(5)}
    identity.execute_sql(
        "UPDATE users SET last_active_at = now() - interval '20 days' WHERE role = 'STUDENT'"
    )
    assert sorted(await list_inactive(identity, admin)) == sorted(inactive)


async def test_activity_is_counted_by_days_of_utc(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    identity.execute_sql("UPDATE users SET created_at = now() - interval '100 days'")
    for first, last, day in (
        # A local yesterday that overlaps two days of UTC.
        ("-30 hours", "-2 hours", -1),
        # A local date that is one day ahead of UTC.
        ("10 hours", "11 hours", 1),
        ("-60 hours", "-60 hours", -3),
    ):
        insert_day(identity, str(uuid.uuid4()), first, last, day)
    regular = str(uuid.uuid4())
    for day in (0, -1, -9):
        insert_day(identity, regular, f"{24 * day + 1} hours", f"{24 * day + 1} hours", day)
    stats = await get_stats(identity, admin, days=3)
    assert [day.date for day in stats.days] == [days_ago(2), days_ago(1), days_ago(0)]
    assert [day.active_users for day in stats.days] == [1, 2, 2]
    assert stats.active_users == 3


async def test_new_users_and_xp_are_counted_within_the_period(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    identity.execute_sql("UPDATE users SET created_at = now() - interval '100 days'")
    for age, guest in (("1 second", False), ("2 days", False), ("2 days", True), ("-3 hours", False)):
        change = f"UPDATE users SET created_at = {TODAY} - %(age)s::interval WHERE user_id = %(user_id)s"
        identity.execute_sql(change, age=age, user_id=insert_user(identity, 1, guest=guest))
    for age, amount in (("-1 hour", 40), ("1 day", -15), ("3 days", 1000)):
        entry = f"SELECT uuidv7(), uuidv7(), %(amount)s, 'CORRECTION', {TODAY} - %(age)s::interval"
        added = f"INSERT INTO xp_entries (user_id, award_id, amount, reason, created_at) {entry}"
        identity.execute_sql(added, age=age, amount=amount)
    stats = await get_stats(identity, admin, days=3)
    assert [day.new_users for day in stats.days] == [1, 1, 1]
    assert (stats.new_users, stats.xp_awarded) == (3, 25)


async def test_the_default_period_is_thirty_days(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    stats = await get_stats(identity, admin)
    assert (len(stats.days), stats.days[0].date, stats.days[-1].date) == (30, days_ago(29), days_ago(0))
    assert (stats.new_users, stats.days[-1].new_users, stats.active_users) == (1, 1, 0)


async def test_only_administrators_can_read_engagement(identity: Identity) -> None:
    student = await identity.sign_up()
    for call in (
        identity.users.ListInactiveUsers(ListInactiveUsersRequest(), **student.auth),
        identity.users.GetEngagementStats(GetEngagementStatsRequest(), **student.auth),
    ):
        assert (await expect_error(call)).reason == "ACCESS_DENIED"


def insert_day(identity: Identity, user_id: str, first: str, last: str, day: int) -> None:
    """Inserts an activity day. Its times are relative to the start of today in UTC."""
    identity.execute_sql(
        f"INSERT INTO activity_days VALUES (%(user_id)s, (now() AT TIME ZONE 'UTC')::date + %(day)s::integer, 'UTC', "
        f"1, {TODAY} + %(first)s::interval, {TODAY} + %(last)s::interval)",
        user_id=user_id,
        first=first,
        last=last,
        day=day,
    )


async def get_stats(identity: Identity, admin: Person, days: int = 0) -> EngagementStats:
    return await identity.users.GetEngagementStats(GetEngagementStatsRequest(days=days), **admin.auth)


def days_ago(days: int) -> str:
    return (datetime.now(UTC).date() - timedelta(days=days)).isoformat()
