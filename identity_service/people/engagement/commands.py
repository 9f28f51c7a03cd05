"""Use cases of engagement statistics."""

from datetime import UTC, date, datetime, time, timedelta

from chassis.database import Executor
from identity_service.people.engagement import rules, store
from identity_service.people.engagement.types import Engagement


async def get_engagement(executor: Executor, today: date, days: int) -> Engagement:
    """Returns the statistics of the last `days` days of UTC, up to and including today."""
    dates = rules.list_last_days(today, days)
    since = datetime.combine(dates[0], time(), UTC)
    until = datetime.combine(dates[-1], time(), UTC) + timedelta(days=1)
    return Engagement(
        days=dates,
        active=await store.count_active_users(executor, since, until),
        new=await store.count_new_users(executor, since, until),
        xp_awarded=await store.sum_awarded_xp(executor, since, until),
    )
