"""Activity and streaks, over gRPC."""

import asyncio
import random
import uuid
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from chassis.testing import refused
from chassis.wire import timestamp
from identity_service.tests.conftest import Identity, Person
from meno.identity.v1.user_service_pb2 import (
    DeleteUserRequest,
    GetUserRequest,
    RecordActivityRequest,
    UpdateSettingsRequest,
    User,
    UserSettings,
)
from meno.identity.v1.user_service_pb2_grpc import UserServiceStub

KOLKATA = "Asia/Kolkata"


def at(days_ago: int, clock: str, zone: str = "UTC") -> datetime:
    """A time of a day of the calendar in a zone, so many days before today there."""
    today = datetime.now(ZoneInfo(zone)).date()
    return datetime.combine(today - timedelta(days=days_ago), time.fromisoformat(clock), ZoneInfo(zone))


async def record(town: Identity, user_id: str, *moments: datetime, peer: str = "session_service") -> None:
    stub = UserServiceStub(town.served.channel(peer))
    for moment in moments:
        await stub.RecordActivity(RecordActivityRequest(user_id=user_id, activity_time=timestamp(moment)))


async def seen(town: Identity, person: Person) -> User:
    return await town.users.GetUser(GetUserRequest(user_id="me"), **person.auth)


async def live_in(town: Identity, person: Person, zone: str) -> None:
    request = UpdateSettingsRequest(user_id="me", settings=UserSettings(time_zone=zone))
    await town.users.UpdateSettings(request, **person.auth)


async def test_days_in_a_row_are_counted_by_the_calendar_of_the_person(town: Identity) -> None:
    person = await town.sign_up()
    await live_in(town, person, KOLKATA)
    # By UTC these are two days, by the person's own calendar three.
    moments = [at(3, "00:10", KOLKATA), at(2, "00:10", KOLKATA), at(1, "23:50", KOLKATA)]
    await record(town, person.user_id, *moments)
    user = await seen(town, person)
    assert user.streak_days == 3
    assert user.last_active_time == timestamp(moments[-1])
    # To study is no change of the profile.
    assert (user.etag, user.update_time) == (person.tokens.user.etag, person.tokens.user.update_time)


async def test_a_streak_is_over_when_a_day_was_left_out(town: Identity) -> None:
    person = await town.sign_up()
    await record(town, person.user_id, at(4, "12:00"), at(3, "12:00"), at(2, "23:59"))
    assert (await seen(town, person)).streak_days == 0
    await record(town, person.user_id, at(1, "12:00"))
    assert (await seen(town, person)).streak_days == 4


async def test_what_comes_late_fills_the_gap_that_it_left(town: Identity) -> None:
    person = await town.sign_up()
    late = at(3, "23:59")
    last = at(1, "09:00")
    await record(town, person.user_id, at(5, "09:00"), at(4, "09:00"), at(2, "09:00"), last)
    assert (await seen(town, person)).streak_days == 2
    await record(town, person.user_id, late)
    user = await seen(town, person)
    assert (user.streak_days, user.last_active_time) == (5, timestamp(last))
    assert [streak for _, streak in kept(town, person)] == [1, 2, 3, 4, 5]


async def test_in_whatever_order_activities_come_at_once_the_days_are_the_same(town: Identity) -> None:
    person = await town.sign_up()
    moments = [at(ago, "12:00") for ago in range(1, 16) if ago != 6]
    random.Random(3).shuffle(moments)
    await asyncio.gather(*(record(town, person.user_id, moment) for moment in moments))
    assert [streak for _, streak in kept(town, person)] == [*range(1, 10), *range(1, 6)]
    # The rest of each day, some of it twice.
    rest = [moment.replace(hour=hour) for moment in moments for hour in (0, 13, 13, 23)]
    await asyncio.gather(*(record(town, person.user_id, moment, peer="chat_service") for moment in rest))
    assert [streak for _, streak in kept(town, person)] == [*range(1, 10), *range(1, 6)]
    user = await seen(town, person)
    assert (user.streak_days, user.last_active_time) == (5, timestamp(at(1, "23:00")))


async def test_who_crosses_the_date_line_keeps_the_streak(town: Identity) -> None:
    person = await town.sign_up()
    now = datetime.now(UTC)
    for hours_ago, zone in ((60, "Pacific/Honolulu"), (37, "Pacific/Kiritimati"), (14, "Pacific/Honolulu")):
        await live_in(town, person, zone)
        await record(town, person.user_id, now - timedelta(hours=hours_ago))
    assert (await seen(town, person)).streak_days == len(kept(town, person))


@pytest.mark.parametrize(
    ("ahead", "days"),
    [
        (timedelta(days=-401), 0),
        (timedelta(days=-399), 1),
        (timedelta(hours=23), 1),
        (timedelta(hours=25), 0),
    ],
)
async def test_only_a_time_that_can_be_is_noted(town: Identity, ahead: timedelta, days: int) -> None:
    person = await town.sign_up()
    await record(town, person.user_id, datetime.now(UTC) + ahead)
    assert len(kept(town, person)) == days
    assert (await seen(town, person)).last_active_time.ToDatetime(UTC) <= datetime.now(UTC)


async def test_of_somebody_who_is_no_more_nothing_is_noted(town: Identity) -> None:
    gone = await town.sign_up()
    await town.users.DeleteUser(DeleteUserRequest(user_id="me"), **gone.auth)
    for user_id in (gone.user_id, str(uuid.uuid4())):
        await record(town, user_id, datetime.now(UTC))
    assert kept(town, gone) == []


@pytest.mark.parametrize("peer", ["gateway", "content_service"])
async def test_nobody_says_of_themselves_that_they_studied(town: Identity, peer: str) -> None:
    request = RecordActivityRequest(user_id=str(uuid.uuid4()), activity_time=timestamp(datetime.now(UTC)))
    denied = await refused(UserServiceStub(town.served.channel(peer)).RecordActivity(request))
    assert (denied.code, denied.reason) == ("PERMISSION_DENIED", "ACCESS_DENIED")


def kept(town: Identity, person: Person) -> list[tuple[Any, int]]:
    """The days that are stored of a person, and their streaks."""
    query = "SELECT day, streak FROM activity_days WHERE user_id = %s ORDER BY day"
    with psycopg.connect(town.database_url) as connection:
        return [*connection.execute(query, [person.user_id])]
