"""Rules of what becomes of a guest's."""

from collections.abc import Sequence

from identity_service.people.activity import rules as activity
from identity_service.people.activity.rules import Day


def united(days: Sequence[Day], guests: Sequence[Day]) -> list[Day]:
    """A person's days and those of the guest that they were, in order, each with its streak.

    Both come in order, the person's from `activity.REACH` before the guest's first one on.
    """
    of_both = {day.day: day for day in days}
    for day in guests:
        known = of_both.get(day.day)
        of_both[day.day] = _merged(known, day) if known else day
    return activity.recounted([of_both[day] for day in sorted(of_both)])


def _merged(one: Day, other: Day) -> Day:
    """A day that both have; where somebody was last says its time zone."""
    last = max(one, other, key=lambda day: day.last_active_at)
    return last._replace(
        streak=max(one.streak, other.streak), first_active_at=min(one.first_active_at, other.first_active_at)
    )
