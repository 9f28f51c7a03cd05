"""Rules of activity days and streaks.

A day is a calendar day in the time zone of the user. A user who travels has two clocks: that of the
previous activity and that of the current one. A streak continues if either clock shows no gap. A user
therefore loses no streak by crossing the date line, and a day that occurs twice counts once.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta

from identity_service.people.activity.types import Day
from identity_service.people.preferences.time_zones import get_zone

MAX_AGE = timedelta(days=400)
"""Older activity is ignored."""
MAX_CLOCK_SKEW = timedelta(days=1)
"""Activity further in the future is ignored, because the clock of the client is wrong."""
LOOKBACK = timedelta(days=4)
"""Earlier days that can affect a new activity: clocks differ by at most 26 hours, and a streak has no gap."""

_ONE_DAY = timedelta(days=1)


def clamp_time(seconds: float, now: datetime) -> datetime | None:
    """Returns the time of an activity, at most `now`, or None if the activity is ignored.

    `seconds` are seconds since the Unix epoch.
    """
    age = now.timestamp() - seconds
    if not -MAX_CLOCK_SKEW.total_seconds() <= age <= MAX_AGE.total_seconds():
        return None
    return min(datetime.fromtimestamp(seconds, UTC), now)


def record_day(days: Sequence[Day], moment: datetime, time_zone: str) -> list[Day]:
    """Returns the days after an activity at `moment`.

    `days` are the stored days from LOOKBACK before the moment on, in order. `time_zone` is the current
    time zone of the user. An activity that is reported late is dated in the time zone of the next
    activity. Days never move backwards: if travel repeats a day, the activity counts for the first one.
    """
    before = [day for day in days if day.first_active_at <= moment]
    after = [day for day in days if day.last_active_at >= moment]
    zone = after[0].time_zone if after else time_zone
    date_ = _local_date(moment, zone)
    if before:
        date_ = max(date_, before[-1].day)
    if after:
        date_ = min(date_, after[0].day)
    by_date = {day.day: day for day in days}
    by_date[date_] = _extend_day(by_date.get(date_), date_, zone, moment)
    return recompute_streaks([by_date[key] for key in sorted(by_date)])


def recompute_streaks(days: Sequence[Day]) -> list[Day]:
    """Returns the days, which are in order, with recomputed streaks. The streak of the first day is kept."""
    result = [*days[:1]]
    for day in days[1:]:
        streak = result[-1].streak + 1 if _is_next(result[-1], day) else 1
        result.append(day._replace(streak=streak))
    return result


def current_streak(streak: int, last: date, clocks: Iterable[str | None], now: datetime) -> int:
    """Returns the streak at `now`: 0 if the day after `last` has ended in each of these time zones."""
    today = min(_local_date(now, clock or "UTC") for clock in clocks)
    return streak if today <= last + _ONE_DAY else 0


def _local_date(moment: datetime, time_zone: str) -> date:
    return moment.astimezone(get_zone(time_zone)).date()


def _extend_day(day: Day | None, date_: date, time_zone: str, moment: datetime) -> Day:
    """Returns the day, extended so that it contains the moment."""
    if day is None:
        return Day(date_, time_zone, 1, moment, moment)
    if moment < day.last_active_at:
        return day._replace(first_active_at=min(day.first_active_at, moment))
    return day._replace(last_active_at=moment, time_zone=time_zone)


def _is_next(previous: Day, day: Day) -> bool:
    """Returns whether there is no whole day between two days, by the clock of either."""
    date_ = min(day.day, _local_date(day.first_active_at, previous.time_zone))
    return date_ <= previous.day + _ONE_DAY
