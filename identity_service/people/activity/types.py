"""Value types of activity."""

from datetime import date, datetime
from typing import NamedTuple


class Day(NamedTuple):
    """A day on which a user studied."""

    day: date
    time_zone: str
    """The time zone of the user at their last activity of the day."""
    streak: int
    """The number of consecutive days up to and including this day."""
    first_active_at: datetime
    last_active_at: datetime
