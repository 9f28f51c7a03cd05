"""Rules of activity and streaks.

A day is a day of the calendar in the person's time zone. Who travels has two clocks, that of where
they were last and that of where they are, and a streak goes on by either: nobody loses one by crossing
the date line, and a day that is lived twice counts once.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from identity_service.people.preferences.zones import zone

OLDEST = timedelta(days=400)
"""Activity from before that is told too late to matter."""
AHEAD = timedelta(days=1)
"""A clock that is further ahead than this is not believed at all."""
REACH = timedelta(days=4)
"""Days before an activity's own that may matter to it: clocks differ by 26 hours, and a streak bears one gap."""

_A_DAY = timedelta(days=1)


class Day(NamedTuple):
    """A day on which a person studied."""

    day: date
    time_zone: str
    """Where they were when they last studied on it."""
    streak: int
    """Days in a row up to this one."""
    first_active_at: datetime
    last_active_at: datetime


def believed(seconds: float, now: datetime) -> datetime | None:
    """When an activity was, given as seconds since the epoch: now at the latest; None where it is ignored."""
    ago = now.timestamp() - seconds
    if not -AHEAD.total_seconds() <= ago <= OLDEST.total_seconds():
        return None
    return min(datetime.fromtimestamp(seconds, UTC), now)


def noted(days: Sequence[Day], moment: datetime, time_zone: str) -> list[Day]:
    """The days as they are when somebody has studied at a moment.

    `days` are those that are known from REACH before the moment on, in order; `time_zone` is where the
    person is now. What is told late is dated where they were the next time they studied. Days never
    go back: one that a traveller lives again is the day that it was.
    """
    before = [day for day in days if day.first_active_at <= moment]
    after = [day for day in days if day.last_active_at >= moment]
    where = after[0].time_zone if after else time_zone
    dated = _date(moment, where)
    if before:
        dated = max(dated, before[-1].day)
    if after:
        dated = min(dated, after[0].day)
    known = {day.day: day for day in days}
    known[dated] = _widened(known.get(dated), dated, where, moment)
    return recounted([known[day] for day in sorted(known)])


def recounted(days: Sequence[Day]) -> list[Day]:
    """Days in order, each with its streak; that of the first holds."""
    counted = [*days[:1]]
    for day in days[1:]:
        streak = counted[-1].streak + 1 if _follows(counted[-1], day) else 1
        counted.append(day._replace(streak=streak))
    return counted


def shown(streak: int, last: date, clocks: Iterable[str | None], now: datetime) -> int:
    """A streak as of now: it ends when, by every clock, the day after its last one is over."""
    today = min(_date(now, clock or "UTC") for clock in clocks)
    return streak if today <= last + _A_DAY else 0


def _date(moment: datetime, time_zone: str) -> date:
    return moment.astimezone(zone(time_zone)).date()


def _widened(day: Day | None, dated: date, where: str, moment: datetime) -> Day:
    """The day with a moment in it."""
    if day is None:
        return Day(dated, where, 1, moment, moment)
    if moment < day.last_active_at:
        return day._replace(first_active_at=min(day.first_active_at, moment))
    return day._replace(last_active_at=moment, time_zone=where)


def _follows(previous: Day, day: Day) -> bool:
    """Whether no whole day lies between two, by the clock of either."""
    dated = min(day.day, _date(day.first_active_at, previous.time_zone))
    return dated <= previous.day + _A_DAY
