"""Rules that merge the activity days of a guest."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_service.people.activity import rules as activity
from identity_service.people.activity.types import Day
from identity_service.sign_in.guests import rules

FIRST = date(2026, 5, 4)


def days_on(*numbers: int, hour: int = 12, zone: str = "UTC") -> list[Day]:
    """Returns activity days, given as offsets from FIRST, at an hour in UTC."""
    days: list[Day] = []
    for number in sorted(numbers):
        moment = datetime.combine(FIRST + timedelta(days=number), time(hour), UTC)
        days.append(Day(moment.date(), zone, 1, moment, moment))
    return activity.recompute_streaks(days)


@given(st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30), min_size=1))
def test_merged_streaks_equal_those_of_one_user_with_all_days(own: set[int], guest: set[int]) -> None:
    all_days = days_on(*own | guest)
    guest_days = days_on(*guest)
    first = guest_days[0].day - activity.LOOKBACK
    own_days = [day for day in days_on(*own) if day.day >= first]
    assert rules.merge_days(own_days, guest_days) == [day for day in all_days if day.day >= first]


@pytest.mark.parametrize(("own", "guest"), [(6, 18), (18, 6)])
def test_the_time_zone_of_a_merged_day_is_that_of_the_later_activity(own: int, guest: int) -> None:
    zones = {6: "Asia/Kolkata", 18: "Europe/Berlin"}
    [day] = rules.merge_days(
        *(days_on(0, hour=hour, zone=zones[hour]) for hour in (own, guest)),
    )
    assert (day.first_active_at.hour, day.last_active_at.hour, day.time_zone) == (6, 18, "Europe/Berlin")
