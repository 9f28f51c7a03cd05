"""Rules of guests."""

from collections.abc import Sequence

from identity_service.people.activity import rules as activity
from identity_service.people.activity.types import Day

DEFAULT_NAME = "Guest"
"""Display name of a guest who enters none."""


def merge_days(days: Sequence[Day], guest_days: Sequence[Day]) -> list[Day]:
    """Returns the activity days of a user and of a guest in order, with recomputed streaks.

    Both sequences are ordered. That of the user begins `activity.LOOKBACK` before the first day of the guest.
    """
    merged = {day.day: day for day in days}
    for day in guest_days:
        known = merged.get(day.day)
        merged[day.day] = _merge_day(known, day) if known else day
    return activity.recompute_streaks([merged[day] for day in sorted(merged)])


def _merge_day(one: Day, other: Day) -> Day:
    """Returns one day from two records. The time zone is that of the later activity."""
    last = max(one, other, key=lambda day: day.last_active_at)
    return last._replace(
        streak=max(one.streak, other.streak), first_active_at=min(one.first_active_at, other.first_active_at)
    )
