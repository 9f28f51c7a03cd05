"""Rules of streaks: calendar days, daylight saving time, and travel across the date line."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import cycle
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity_service.people.activity import rules
from identity_service.people.activity.types import Day

KIRITIMATI, HONOLULU = "Pacific/Kiritimati", "Pacific/Honolulu"
KOLKATA, NEW_YORK, LONDON = "Asia/Kolkata", "America/New_York", "Europe/London"

Activity = tuple[str, str]
"""The local time of an activity, and the time zone."""


def moment(activity: Activity) -> datetime:
    local, zone = activity
    return datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def record(days: Sequence[Day], at: datetime, zone: str) -> list[Day]:
    """Returns all days after an activity; the rule gets only the days that the store reads for it."""
    first = (at - rules.LOOKBACK).date()
    recent = [day for day in days if day.day >= first]
    return [day for day in days if day.day < first] + rules.record_day(recent, at, zone)


def record_all(*activities: Activity) -> list[Day]:
    days: list[Day] = []
    for activity in activities:
        days = record(days, moment(activity), activity[1])
    return days


def streaks(days: Sequence[Day]) -> list[tuple[str, int]]:
    return [(day.day.isoformat()[5:], day.streak) for day in days]


@pytest.mark.parametrize(
    ("activities", "expected"),
    [
        pytest.param([("2026-03-10 09:00", KOLKATA)], [("03-10", 1)], id="the first day"),
        pytest.param(
            [("2026-03-10 09:00", KOLKATA), ("2026-03-10 21:00", KOLKATA)],
            [("03-10", 1)],
            id="two activities on a day count once",
        ),
        pytest.param(
            [("2026-03-10 23:59", KOLKATA), ("2026-03-11 00:00", KOLKATA)],
            [("03-10", 1), ("03-11", 2)],
            id="just before and at midnight",
        ),
        pytest.param(
            [("2026-03-10 00:00", KOLKATA), ("2026-03-11 23:59", KOLKATA)],
            [("03-10", 1), ("03-11", 2)],
            id="almost two days apart",
        ),
        pytest.param(
            [("2026-03-10 23:59", KOLKATA), ("2026-03-12 00:00", KOLKATA)],
            [("03-10", 1), ("03-12", 1)],
            id="a skipped day",
        ),
        pytest.param(
            [("2026-03-07 23:59", NEW_YORK), ("2026-03-08 23:59", NEW_YORK), ("2026-03-09 00:00", NEW_YORK)],
            [("03-07", 1), ("03-08", 2), ("03-09", 3)],
            id="across a day of 23 hours",
        ),
        pytest.param(
            [("2026-10-31 23:59", NEW_YORK), ("2026-11-01 00:00", NEW_YORK), ("2026-11-01 23:59", NEW_YORK)],
            [("10-31", 1), ("11-01", 2)],
            id="within a day of 25 hours",
        ),
        pytest.param(
            [("2026-11-01 00:30", NEW_YORK), ("2026-11-02 23:30", NEW_YORK)],
            [("11-01", 1), ("11-02", 2)],
            id="across a day of 25 hours",
        ),
        pytest.param(
            [("2026-10-25 00:10", LONDON), ("2026-10-26 00:10", LONDON), ("2026-10-27 00:10", LONDON)],
            [("10-25", 1), ("10-26", 2), ("10-27", 3)],
            id="just after midnight, across the end of summer time",
        ),
        pytest.param(
            # The second activity is one day later by the clock of Honolulu, and two days later by that of Kiritimati.
            [("2026-03-10 20:00", HONOLULU), ("2026-03-12 10:00", KIRITIMATI)],
            [("03-10", 1), ("03-12", 2)],
            id="eastwards across the date line",
        ),
        pytest.param(
            [("2026-03-10 20:00", HONOLULU), ("2026-03-13 00:30", KIRITIMATI)],
            [("03-10", 1), ("03-13", 1)],
            id="eastwards across the date line, too late by both clocks",
        ),
        pytest.param(
            [
                ("2026-03-10 20:00", KIRITIMATI),
                ("2026-03-09 23:00", HONOLULU),
                ("2026-03-10 20:00", HONOLULU),
            ],
            [("03-10", 1)],
            id="westwards across the date line, a day repeats",
        ),
        pytest.param(
            [
                ("2026-03-09 20:00", KIRITIMATI),
                ("2026-03-10 20:00", KIRITIMATI),
                ("2026-03-10 20:00", HONOLULU),
                ("2026-03-11 20:00", HONOLULU),
            ],
            [("03-09", 1), ("03-10", 2), ("03-11", 3)],
            id="westwards across the date line, several days",
        ),
        pytest.param(
            [("2026-03-10 22:00", NEW_YORK), ("2026-03-12 08:00", KOLKATA), ("2026-03-13 08:00", KOLKATA)],
            [("03-10", 1), ("03-12", 2), ("03-13", 3)],
            id="a night flight eastwards",
        ),
        pytest.param(
            [("2026-03-10 09:00", KOLKATA), ("2026-03-10 21:00", NEW_YORK), ("2026-03-11 09:00", NEW_YORK)],
            [("03-10", 1), ("03-11", 2)],
            id="a long day travelling westwards",
        ),
    ],
)
def test_a_streak_counts_local_days(activities: list[Activity], expected: list[tuple[str, int]]) -> None:
    assert streaks(record_all(*activities)) == expected


def test_an_activity_reported_late_fills_the_gap() -> None:
    local_times = [
        "2026-03-08 09:00",
        "2026-03-09 09:00",
        "2026-03-11 09:00",
        "2026-03-12 09:00",
        "2026-03-20 09:00",
    ]
    days = record_all(*((local, KOLKATA) for local in local_times))
    assert [day.streak for day in days] == [1, 2, 1, 2, 1]
    late = ("2026-03-10 00:10", KOLKATA)
    # The user now lives in New York, but the days around the gap are days in Kolkata.
    assert [day.streak for day in record(days, moment(late), NEW_YORK)] == [1, 2, 3, 4, 5, 1]


def test_an_activity_within_a_recorded_day_changes_nothing() -> None:
    local_times = [f"2026-03-{day:02} {clock}" for day in range(1, 5) for clock in ("09:00", "18:00")]
    days = record_all(*((local, KOLKATA) for local in local_times))
    assert record(days, moment(("2026-03-02 12:00", KOLKATA)), NEW_YORK) == days


@pytest.mark.parametrize(
    ("now", "zone", "streak"),
    [
        ("2026-03-10 23:59", KOLKATA, 5),
        ("2026-03-11 23:59", KOLKATA, 5),
        ("2026-03-12 00:00", KOLKATA, 0),
        # In New York it is still the next day. A user who was in Kolkata and is in Kiritimati has time by the
        # clock of Kolkata.
        ("2026-03-11 23:59", NEW_YORK, 5),
        ("2026-03-12 00:00", NEW_YORK, 0),
        ("2026-03-12 08:00", KIRITIMATI, 5),
    ],
)
def test_a_streak_ends_when_the_next_day_has_ended_by_both_clocks(now: str, zone: str, streak: int) -> None:
    assert rules.current_streak(5, date(2026, 3, 10), (KOLKATA, zone), moment((now, zone))) == streak


@pytest.mark.parametrize("clocks", [("UTC", None), ("Mars/Base", "Mars/Base")])
def test_an_unknown_time_zone_counts_as_utc(clocks: tuple[str, str | None]) -> None:
    last, now = date(2026, 3, 10), datetime(2026, 3, 11, 23, 59, tzinfo=UTC)
    assert rules.current_streak(5, last, clocks, now) == 5
    assert rules.current_streak(5, last, clocks, now + timedelta(minutes=1)) == 0


NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (timedelta(), NOW),
        (timedelta(days=400), NOW - timedelta(days=400)),
        (timedelta(days=400, seconds=1), None),
        (-timedelta(hours=24), NOW),
        (-timedelta(hours=24, seconds=1), None),
    ],
)
def test_times_too_old_or_too_far_ahead_are_ignored(age: timedelta, expected: datetime | None) -> None:
    assert rules.clamp_time((NOW - age).timestamp(), NOW) == expected


@pytest.mark.parametrize("seconds", [-62135596800.0, 253402300799.0, 9e18, -9e18])
def test_times_outside_the_calendar_are_ignored(seconds: float) -> None:
    assert rules.clamp_time(seconds, NOW) is None


BEGIN = datetime(2026, 2, 20, tzinfo=UTC)
ZONES = [KIRITIMATI, HONOLULU, KOLKATA, NEW_YORK, LONDON, "UTC"]

no_deadline = settings(deadline=None)
hours = st.floats(0, 24).map(lambda passed: timedelta(hours=passed))
minutes = st.integers(0, 50 * 24 * 60)
moments = st.lists(minutes.map(lambda passed: BEGIN + timedelta(minutes=passed)), min_size=1)


@no_deadline
@given(moments, st.sampled_from(ZONES))
def test_in_one_zone_a_streak_counts_consecutive_dates_in_any_order_of_reports(
    instants: list[datetime], zone: str
) -> None:
    days: list[Day] = []
    for instant in instants:
        days = record(days, instant, zone)
    dates = {instant.astimezone(ZoneInfo(zone)).date() for instant in instants}
    assert [(day.day, day.streak) for day in days] == [
        (one, consecutive(one, dates)) for one in sorted(dates)
    ]
    for day in days:
        of_day = [one for one in instants if one.astimezone(ZoneInfo(zone)).date() == day.day]
        assert (day.first_active_at, day.last_active_at) == (min(of_day), max(of_day))


def consecutive(last: date, dates: set[date]) -> int:
    return 1 + consecutive(before, dates) if (before := last - timedelta(days=1)) in dates else 1


@no_deadline
@given(moments, st.lists(st.sampled_from(ZONES), min_size=1))
def test_days_and_times_ascend_together_in_all_time_zones(instants: list[datetime], zones: list[str]) -> None:
    days: list[Day] = []
    for instant, zone in zip(instants, cycle(zones), strict=False):
        days = record(days, instant, zone)
    times = [time for day in days for time in (day.first_active_at, day.last_active_at)]
    assert times == sorted(times)
    assert {*instants} >= {*times}


@no_deadline
@given(st.lists(st.tuples(hours, st.sampled_from(ZONES)), min_size=1))
def test_activity_every_24_hours_keeps_the_streak_while_travelling(
    journey: list[tuple[timedelta, str]],
) -> None:
    days: list[Day] = []
    now = BEGIN
    for passed, zone in journey:
        now += passed
        days = record(days, now, zone)
        assert rules.current_streak(days[-1].streak, days[-1].day, (days[-1].time_zone, zone), now) == len(
            days
        )
