"""Rules of engagement statistics."""

from datetime import date, timedelta

INACTIVE_AFTER = timedelta(days=14)
"""The default of `ListInactiveUsersRequest.days`."""
DEFAULT_DAYS = 30
"""The default of `GetEngagementStatsRequest.days`."""


def list_last_days(today: date, count: int) -> list[date]:
    """Returns the last `count` days up to and including today, oldest first."""
    return [today - timedelta(days=ago) for ago in reversed(range(count))]
