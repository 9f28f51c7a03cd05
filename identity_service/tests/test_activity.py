"""Activity and streaks, over gRPC."""

import asyncio
import random
import uuid
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from chassis.conversions import to_timestamp
from chassis.testing import expect_error
from identity_service.tests.conftest import Identity, Person
from meno.identity.v1.resources_pb2 import User, UserSettings
from meno.identity.v1.user_service_pb2 import (
    DeleteUserRequest,
    GetUserRequest,
    RecordActivityRequest,
    UpdateSettingsRequest,
)
from meno.identity.v1.user_service_pb2_grpc import UserServiceStub

KOLKATA = "Asia/Kolkata"


def at(days_ago: int, clock: str, zone: str = "UTC") -> datetime:
    """Returns a local time in a time zone, so many days before today."""
    today = datetime.now(ZoneInfo(zone)).date()
    return datetime.combine(today - timedelta(days=days_ago), time.fromisoformat(clock), ZoneInfo(zone))


async def record(shared: Identity, user_id: str, *moments: datetime, peer: str = "session_service") -> None:
    stub = UserServiceStub(shared.service.channel(peer))
    for moment in moments:
        await stub.RecordActivity(RecordActivityRequest(user_id=user_id, activity_time=to_timestamp(moment)))


async def get_user(shared: Identity, person: Person) -> User:
    return await shared.users.GetUser(GetUserRequest(user_id="me"), **person.auth)


async def set_time_zone(shared: Identity, person: Person, zone: str) -> None:
    request = UpdateSettingsRequest(user_id="me", settings=UserSettings(time_zone=zone))
    await shared.users.UpdateSettings(request, **person.auth)


async def test_consecutive_days_are_counted_in_the_time_zone_of_the_user(shared: Identity) -> None:
    person = await shared.sign_up()
    await set_time_zone(shared, person, KOLKATA)
    # In UTC these are two days, in the time zone of the user three.
    moments = [at(3, "00:10", KOLKATA), at(2, "00:10", KOLKATA), at(1, "23:50", KOLKATA)]
    await record(shared, person.user_id, *moments)
    user = await get_user(shared, person)
    assert user.streak_days == 3
    assert user.last_active_time == to_timestamp(moments[-1])
    # Activity does not change the version of the profile.
    assert (user.etag, user.update_time) == (person.tokens.user.etag, person.tokens.user.update_time)


async def test_a_streak_ends_after_a_day_without_activity(shared: Identity) -> None:
    person = await shared.sign_up()
    await record(shared, person.user_id, at(4, "12:00"), at(3, "12:00"), at(2, "23:59"))
    assert (await get_user(shared, person)).streak_days == 0
    await record(shared, person.user_id, at(1, "12:00"))
    assert (await get_user(shared, person)).streak_days == 4


async def test_an_activity_reported_late_fills_the_gap(shared: Identity) -> None:
    person = await shared.sign_up()
    late = at(3, "23:59")
    last = at(1, "09:00")
    await record(shared, person.user_id, at(5, "09:00"), at(4, "09:00"), at(2, "09:00"), last)
    assert (await get_user(shared, person)).streak_days == 2
    await record(shared, person.user_id, late)
    user = await get_user(shared, person)
    assert (user.streak_days, user.last_active_time) == (5, to_timestamp(last))
    assert [streak for _, streak in stored_days(shared, person)] == [1, 2, 3, 4, 5]


async def test_concurrent_activities_give_the_same_days_in_any_order(shared: Identity) -> None:
    person = await shared.sign_up()
    moments = [at(ago, "12:00") for ago in range(1, 16) if ago != 6]
    random.Random(3).shuffle(moments)
    await asyncio.gather(*(record(shared, person.user_id, moment) for moment in moments))
    assert [streak for _, streak in stored_days(shared, person)] == [*range(1, 10), *range(1, 6)]
    # The rest of each day, some of it twice.
    rest = [moment.replace(hour=hour) for moment in moments for hour in (0, 13, 13, 23)]
    await asyncio.gather(*(record(shared, person.user_id, moment, peer="chat_service") for moment in rest))
    assert [streak for _, streak in stored_days(shared, person)] == [*range(1, 10), *range(1, 6)]
    user = await get_user(shared, person)
    assert (user.streak_days, user.last_active_time) == (5, to_timestamp(at(1, "23:00")))


async def test_crossing_the_date_line_keeps_the_streak(shared: Identity) -> None:
    person = await shared.sign_up()
    now = datetime.now(UTC)
    for hours_ago, zone in ((60, "Pacific/Honolulu"), (37, "Pacific/Kiritimati"), (14, "Pacific/Honolulu")):
        await set_time_zone(shared, person, zone)
        await record(shared, person.user_id, now - timedelta(hours=hours_ago))
    assert (await get_user(shared, person)).streak_days == len(stored_days(shared, person))


@pytest.mark.parametrize(
    ("ahead", "days"),
    [
        (timedelta(days=-401), 0),
        (timedelta(days=-399), 1),
        (timedelta(hours=23), 1),
        (timedelta(hours=25), 0),
    ],
)
async def test_times_too_old_or_too_far_ahead_are_ignored(
    shared: Identity, ahead: timedelta, days: int
) -> None:
    person = await shared.sign_up()
    await record(shared, person.user_id, datetime.now(UTC) + ahead)
    assert len(stored_days(shared, person)) == days
    assert (await get_user(shared, person)).last_active_time.ToDatetime(UTC) <= datetime.now(UTC)


async def test_activity_of_a_deleted_user_is_ignored(shared: Identity) -> None:
    gone = await shared.sign_up()
    await shared.users.DeleteUser(DeleteUserRequest(user_id="me"), **gone.auth)
    for user_id in (gone.user_id, str(uuid.uuid4())):
        await record(shared, user_id, datetime.now(UTC))
    assert stored_days(shared, gone) == []


@pytest.mark.parametrize("peer", ["gateway", "content_service"])
async def test_only_services_with_learning_activity_can_report_it(shared: Identity, peer: str) -> None:
    request = RecordActivityRequest(user_id=str(uuid.uuid4()), activity_time=to_timestamp(datetime.now(UTC)))
    denied = await expect_error(UserServiceStub(shared.service.channel(peer)).RecordActivity(request))
    assert (denied.code, denied.reason) == ("PERMISSION_DENIED", "ACCESS_DENIED")


def stored_days(shared: Identity, person: Person) -> list[tuple[Any, int]]:
    """Returns the stored days of a user with their streaks."""
    query = "SELECT day, streak FROM activity_days WHERE user_id = %s ORDER BY day"
    return shared.execute_sql(query, person.user_id)
