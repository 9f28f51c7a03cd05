"""What administrators are told of everybody's use, over gRPC."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from chassis.testing import refused
from identity_service.tests.conftest import Identity, Person
from meno.identity.v1.user_service_pb2 import (
    EngagementStats,
    GetEngagementStatsRequest,
    ListInactiveUsersRequest,
)

TODAY = "date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'"
"""When today began, in UTC."""


def execute(identity: Identity, query: str, **values: Any) -> None:
    with psycopg.connect(identity.database_url) as connection:
        connection.execute(query.encode(), values)


def live(identity: Identity, days_away: float, **columns: Any) -> str:
    """Somebody who last studied so many days ago."""
    values = {
        "user_id": str(uuid.uuid4()),
        "display_name": "A",
        "nickname": "AA",
        "role": "STUDENT",
        **columns,
    }
    away = timedelta(days=days_away)
    names, places = ", ".join(values), ", ".join(f"%({name})s" for name in values)
    query = f"INSERT INTO users ({names}, last_active_at) VALUES ({places}, now() - %(away)s)"
    execute(identity, query, away=away, **values)
    return str(values["user_id"])


async def inactive(identity: Identity, admin: Person, days: int = 0) -> list[str]:
    request = ListInactiveUsersRequest(page_size=2, days=days)
    found: list[str] = []
    while True:
        page = await identity.users.ListInactiveUsers(request, **admin.auth)
        found += [user.user_id for user in page.users]
        request.page_token = page.next_page_token
        if not request.page_token:
            return found


async def test_who_stays_away_is_listed_the_longest_away_first(identity: Identity) -> None:
    admin, now = await identity.sign_up_admin(), datetime.now(UTC)
    away = {days: live(identity, days) for days in (13.9, 14.1, 30, 90, 15, 15.5)}
    for apart in (
        {"guest": True},
        {"deleted_at": now},
        {"deactivated_at": now},
        {"merged_into_user_id": away[30]},
    ):
        live(identity, 50, **apart)
    assert await inactive(identity, admin) == [away[days] for days in (90, 30, 15.5, 15, 14.1)]
    assert await inactive(identity, admin, days=31) == [away[90]]
    assert await inactive(identity, admin, days=1) == [away[days] for days in (90, 30, 15.5, 15, 14.1, 13.9)]


async def test_people_who_stay_away_equally_long_are_all_listed(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    away = {live(identity, 20) for _ in range(5)}
    execute(identity, "UPDATE users SET last_active_at = now() - interval '20 days' WHERE role = 'STUDENT'")
    assert sorted(await inactive(identity, admin)) == sorted(away)


async def test_days_are_counted_by_utc_whatever_calendar_people_have(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    execute(identity, "UPDATE users SET created_at = now() - interval '100 days'")
    for first, last, day in (
        # Yesterday of somebody's own is the evening before yesterday and most of yesterday.
        ("-30 hours", "-2 hours", -1),
        # Far in the east it is tomorrow.
        ("10 hours", "11 hours", 1),
        ("-60 hours", "-60 hours", -3),
    ):
        study(identity, str(uuid.uuid4()), first, last, day)
    regular = str(uuid.uuid4())
    for day in (0, -1, -9):
        study(identity, regular, f"{24 * day + 1} hours", f"{24 * day + 1} hours", day)
    stats = await told(identity, admin, days=3)
    assert [day.date for day in stats.days] == [days_ago(2), days_ago(1), days_ago(0)]
    assert [day.active_users for day in stats.days] == [1, 2, 2]
    assert stats.active_users == 3


async def test_newcomers_and_experience_are_those_of_the_time(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    execute(identity, "UPDATE users SET created_at = now() - interval '100 days'")
    for ago, guest in (("1 second", False), ("2 days", False), ("2 days", True), ("-3 hours", False)):
        change = f"UPDATE users SET created_at = {TODAY} - %(ago)s::interval WHERE user_id = %(user_id)s"
        execute(identity, change, ago=ago, user_id=live(identity, 1, guest=guest))
    for ago, amount in (("-1 hour", 40), ("1 day", -15), ("3 days", 1000)):
        entry = f"SELECT uuidv7(), uuidv7(), %(amount)s, 'CORRECTION', {TODAY} - %(ago)s::interval"
        added = f"INSERT INTO xp_entries (user_id, award_id, amount, reason, created_at) {entry}"
        execute(identity, added, ago=ago, amount=amount)
    stats = await told(identity, admin, days=3)
    assert [day.new_users for day in stats.days] == [1, 1, 1]
    assert (stats.new_users, stats.xp_awarded) == (3, 25)


async def test_a_month_is_told_where_nothing_else_is_asked(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    stats = await told(identity, admin)
    assert (len(stats.days), stats.days[0].date, stats.days[-1].date) == (30, days_ago(29), days_ago(0))
    assert (stats.new_users, stats.days[-1].new_users, stats.active_users) == (1, 1, 0)


async def test_only_administrators_are_told(identity: Identity) -> None:
    student = await identity.sign_up()
    for call in (
        identity.users.ListInactiveUsers(ListInactiveUsersRequest(), **student.auth),
        identity.users.GetEngagementStats(GetEngagementStatsRequest(), **student.auth),
    ):
        assert (await refused(call)).reason == "ACCESS_DENIED"


def study(identity: Identity, user_id: str, first: str, last: str, day: int) -> None:
    """Somebody's day; its times are said from the beginning of today, in UTC."""
    execute(
        identity,
        f"INSERT INTO activity_days VALUES (%(user_id)s, (now() AT TIME ZONE 'UTC')::date + %(day)s::integer, 'UTC', "
        f"1, {TODAY} + %(first)s::interval, {TODAY} + %(last)s::interval)",
        user_id=user_id,
        first=first,
        last=last,
        day=day,
    )


async def told(identity: Identity, admin: Person, days: int = 0) -> EngagementStats:
    return await identity.users.GetEngagementStats(GetEngagementStatsRequest(days=days), **admin.auth)


def days_ago(days: int) -> str:
    return (datetime.now(UTC).date() - timedelta(days=days)).isoformat()
