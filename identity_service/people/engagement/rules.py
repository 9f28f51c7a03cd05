"""Rules of what is told about everybody's use."""

from datetime import date, timedelta

AWAY = timedelta(days=14)
"""How long somebody is away who is away for long, unless the request says it."""
DAYS = 30
"""So many days are told, unless the request says it."""


def days_up_to(today: date, count: int) -> list[date]:
    """So many days, oldest first, of which today is the last."""
    return [today - timedelta(days=ago) for ago in reversed(range(count))]
