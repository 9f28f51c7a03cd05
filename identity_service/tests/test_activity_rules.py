"""Rules of streaks: days of the calendar, clocks that change, and those who cross the date line."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import cycle
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity_service.people.activity import rules
from identity_service.people.activity.rules import Day

KIRITIMATI, HONOLULU = "Pacific/Kiritimati", "Pacific/Honolulu"
KOLKATA, NEW_YORK, LONDON = "Asia/Kolkata", "America/New_York", "Europe/London"

Told = tuple[str, str]
"""When somebody studied, as the clock on their wall showed it, and where they were."""


def moment(told: Told) -> datetime:
    wall, zone = told
    return datetime.fromisoformat(wall).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def note(days: Sequence[Day], at: datetime, zone: str) -> list[Day]:
    """The days after an activity, as the store keeps them."""
    first = (at - rules.REACH).date()
    near = [day for day in days if day.day >= first]
    return [day for day in days if day.day < first] + rules.noted(near, at, zone)


def told(*activities: Told) -> list[Day]:
    days: list[Day] = []
    for one in activities:
        days = note(days, moment(one), one[1])
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
            id="a day counts once",
        ),
        pytest.param(
            [("2026-03-10 23:59", KOLKATA), ("2026-03-11 00:00", KOLKATA)],
            [("03-10", 1), ("03-11", 2)],
            id="a minute over midnight",
        ),
        pytest.param(
            [("2026-03-10 00:00", KOLKATA), ("2026-03-11 23:59", KOLKATA)],
            [("03-10", 1), ("03-11", 2)],
            id="almost two days apart",
        ),
        pytest.param(
            [("2026-03-10 23:59", KOLKATA), ("2026-03-12 00:00", KOLKATA)],
            [("03-10", 1), ("03-12", 1)],
            id="a day left out",
        ),
        pytest.param(
            [("2026-03-07 23:59", NEW_YORK), ("2026-03-08 23:59", NEW_YORK), ("2026-03-09 00:00", NEW_YORK)],
            [("03-07", 1), ("03-08", 2), ("03-09", 3)],
            id="over a day of 23 hours",
        ),
        pytest.param(
            [("2026-10-31 23:59", NEW_YORK), ("2026-11-01 00:00", NEW_YORK), ("2026-11-01 23:59", NEW_YORK)],
            [("10-31", 1), ("11-01", 2)],
            id="within a day of 25 hours",
        ),
        pytest.param(
            [("2026-11-01 00:30", NEW_YORK), ("2026-11-02 23:30", NEW_YORK)],
            [("11-01", 1), ("11-02", 2)],
            id="over a day of 25 hours",
        ),
        pytest.param(
            [("2026-10-25 00:10", LONDON), ("2026-10-26 00:10", LONDON), ("2026-10-27 00:10", LONDON)],
            [("10-25", 1), ("10-26", 2), ("10-27", 3)],
            id="just after midnight, over the end of summer",
        ),
        pytest.param(
            # The second evening is the day after by the clock of where they were, two by that of where they are.
            [("2026-03-10 20:00", HONOLULU), ("2026-03-12 10:00", KIRITIMATI)],
            [("03-10", 1), ("03-12", 2)],
            id="east over the date line",
        ),
        pytest.param(
            [("2026-03-10 20:00", HONOLULU), ("2026-03-13 00:30", KIRITIMATI)],
            [("03-10", 1), ("03-13", 1)],
            id="east over the date line, too late by either clock",
        ),
        pytest.param(
            [
                ("2026-03-10 20:00", KIRITIMATI),
                ("2026-03-09 23:00", HONOLULU),
                ("2026-03-10 20:00", HONOLULU),
            ],
            [("03-10", 1)],
            id="west over the date line a day comes again",
        ),
        pytest.param(
            [
                ("2026-03-09 20:00", KIRITIMATI),
                ("2026-03-10 20:00", KIRITIMATI),
                ("2026-03-10 20:00", HONOLULU),
                ("2026-03-11 20:00", HONOLULU),
            ],
            [("03-09", 1), ("03-10", 2), ("03-11", 3)],
            id="west over the date line and on",
        ),
        pytest.param(
            [("2026-03-10 22:00", NEW_YORK), ("2026-03-12 08:00", KOLKATA), ("2026-03-13 08:00", KOLKATA)],
            [("03-10", 1), ("03-12", 2), ("03-13", 3)],
            id="a night's flight east",
        ),
        pytest.param(
            [("2026-03-10 09:00", KOLKATA), ("2026-03-10 21:00", NEW_YORK), ("2026-03-11 09:00", NEW_YORK)],
            [("03-10", 1), ("03-11", 2)],
            id="a long day west",
        ),
    ],
)
def test_a_streak_counts_days_of_the_persons_own(
    activities: list[Told], expected: list[tuple[str, int]]
) -> None:
    assert streaks(told(*activities)) == expected


def test_what_is_told_late_fills_the_gap() -> None:
    walls = [
        "2026-03-08 09:00",
        "2026-03-09 09:00",
        "2026-03-11 09:00",
        "2026-03-12 09:00",
        "2026-03-20 09:00",
    ]
    days = told(*((wall, KOLKATA) for wall in walls))
    assert [day.streak for day in days] == [1, 2, 1, 2, 1]
    late = ("2026-03-10 00:10", KOLKATA)
    # Whoever lives elsewhere by now is asked where they were then.
    assert [day.streak for day in note(days, moment(late), NEW_YORK)] == [1, 2, 3, 4, 5, 1]


def test_a_moment_within_a_day_that_is_known_changes_nothing() -> None:
    walls = [f"2026-03-{day:02} {clock}" for day in range(1, 5) for clock in ("09:00", "18:00")]
    days = told(*((wall, KOLKATA) for wall in walls))
    assert note(days, moment(("2026-03-02 12:00", KOLKATA)), NEW_YORK) == days


@pytest.mark.parametrize(
    ("now", "zone", "streak"),
    [
        ("2026-03-10 23:59", KOLKATA, 5),
        ("2026-03-11 23:59", KOLKATA, 5),
        ("2026-03-12 00:00", KOLKATA, 0),
        # In New York it is still the day after; and who was last in Kolkata and is in Kiritimati is not late there.
        ("2026-03-11 23:59", NEW_YORK, 5),
        ("2026-03-12 00:00", NEW_YORK, 0),
        ("2026-03-12 08:00", KIRITIMATI, 5),
    ],
)
def test_a_streak_ends_when_the_day_after_is_over_by_either_clock(now: str, zone: str, streak: int) -> None:
    assert rules.shown(5, date(2026, 3, 10), (KOLKATA, zone), moment((now, zone))) == streak


@pytest.mark.parametrize("clocks", [("UTC", None), ("Mars/Base", "Mars/Base")])
def test_who_has_no_time_zone_that_is_known_lives_by_utc(clocks: tuple[str, str | None]) -> None:
    last, now = date(2026, 3, 10), datetime(2026, 3, 11, 23, 59, tzinfo=UTC)
    assert rules.shown(5, last, clocks, now) == 5
    assert rules.shown(5, last, clocks, now + timedelta(minutes=1)) == 0


NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ago", "believed"),
    [
        (timedelta(), NOW),
        (timedelta(days=400), NOW - timedelta(days=400)),
        (timedelta(days=400, seconds=1), None),
        (-timedelta(hours=24), NOW),
        (-timedelta(hours=24, seconds=1), None),
    ],
)
def test_only_times_that_can_be_are_believed(ago: timedelta, believed: datetime | None) -> None:
    assert rules.believed((NOW - ago).timestamp(), NOW) == believed


@pytest.mark.parametrize("seconds", [-62135596800.0, 253402300799.0, 9e18, -9e18])
def test_times_that_no_calendar_has_are_ignored(seconds: float) -> None:
    assert rules.believed(seconds, NOW) is None


BEGIN = datetime(2026, 2, 20, tzinfo=UTC)
ZONES = [KIRITIMATI, HONOLULU, KOLKATA, NEW_YORK, LONDON, "UTC"]

unhurried = settings(deadline=None)
hours = st.floats(0, 24).map(lambda passed: timedelta(hours=passed))
minutes = st.integers(0, 50 * 24 * 60)
moments = st.lists(minutes.map(lambda passed: BEGIN + timedelta(minutes=passed)), min_size=1)


@unhurried
@given(moments, st.sampled_from(ZONES))
def test_in_one_zone_a_streak_counts_dates_in_a_row_in_whatever_order_they_come(
    instants: list[datetime], zone: str
) -> None:
    days: list[Day] = []
    for instant in instants:
        days = note(days, instant, zone)
    dates = {instant.astimezone(ZoneInfo(zone)).date() for instant in instants}
    assert [(day.day, day.streak) for day in days] == [(one, in_a_row(one, dates)) for one in sorted(dates)]
    for day in days:
        of_day = [one for one in instants if one.astimezone(ZoneInfo(zone)).date() == day.day]
        assert (day.first_active_at, day.last_active_at) == (min(of_day), max(of_day))


def in_a_row(last: date, dates: set[date]) -> int:
    return 1 + in_a_row(before, dates) if (before := last - timedelta(days=1)) in dates else 1


@unhurried
@given(moments, st.lists(st.sampled_from(ZONES), min_size=1))
def test_days_and_moments_ascend_together_wherever_people_are(
    instants: list[datetime], zones: list[str]
) -> None:
    days: list[Day] = []
    for instant, zone in zip(instants, cycle(zones), strict=False):
        days = note(days, instant, zone)
    times = [time for day in days for time in (day.first_active_at, day.last_active_at)]
    assert times == sorted(times)
    assert {*instants} >= {*times}


@unhurried
@given(st.lists(st.tuples(hours, st.sampled_from(ZONES)), min_size=1))
def test_who_studies_every_24_hours_keeps_the_streak_wherever_they_are(
    journey: list[tuple[timedelta, str]],
) -> None:
    days: list[Day] = []
    now = BEGIN
    for passed, zone in journey:
        now += passed
        days = note(days, now, zone)
        assert rules.shown(days[-1].streak, days[-1].day, (days[-1].time_zone, zone), now) == len(days)
