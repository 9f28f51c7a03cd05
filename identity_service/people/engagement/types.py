"""Value types of engagement statistics."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import NamedTuple


class CountRow(NamedTuple):
    """The number of users on a day, or on all days together if the day is None."""

    day: date | None
    users: int


class Engagement(NamedTuple):
    """The statistics of consecutive days."""

    days: Sequence[date]
    active: Mapping[date | None, int]
    """Distinct active users by day; the key None is the total of all days."""
    new: Mapping[date | None, int]
    """New users by day, without guests."""
    xp_awarded: int
