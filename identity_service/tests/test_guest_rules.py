"""Rules of what becomes of a guest's."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_service.people.activity import rules as activity
from identity_service.people.activity.rules import Day
from identity_service.sign_in.guests import rules

FIRST = date(2026, 5, 4)


def studied(*numbers: int, hour: int = 12, zone: str = "UTC") -> list[Day]:
    """The days of somebody who studied on these, by their number, at an hour of UTC."""
    days: list[Day] = []
    for number in sorted(numbers):
        moment = datetime.combine(FIRST + timedelta(days=number), time(hour), UTC)
        days.append(Day(moment.date(), zone, 1, moment, moment))
    return activity.recounted(days)


@given(st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30), min_size=1))
def test_streaks_are_those_of_one_who_studied_on_the_days_of_both(mine: set[int], guests: set[int]) -> None:
    both = studied(*mine | guests)
    theirs = studied(*guests)
    first = theirs[0].day - activity.REACH
    near = [day for day in studied(*mine) if day.day >= first]
    assert rules.united(near, theirs) == [day for day in both if day.day >= first]


@pytest.mark.parametrize(("mine", "guests"), [(6, 18), (18, 6)])
def test_of_a_day_of_both_the_last_moment_says_where(mine: int, guests: int) -> None:
    zones = {6: "Asia/Kolkata", 18: "Europe/Berlin"}
    [day] = rules.united(
        *(studied(0, hour=hour, zone=zones[hour]) for hour in (mine, guests)),
    )
    assert (day.first_active_at.hour, day.last_active_at.hour, day.time_zone) == (6, 18, "Europe/Berlin")
