"""Maps engagement statistics to the messages of the contract."""

from identity_service.people.engagement.types import Engagement
from meno.identity.v1.resources_pb2 import EngagementStats


def to_message(engagement: Engagement) -> EngagementStats:
    """Returns the statistics as a message."""
    return EngagementStats(
        active_users=engagement.active.get(None, 0),
        new_users=sum(engagement.new.values()),
        xp_awarded=engagement.xp_awarded,
        days=[
            EngagementStats.Day(
                date=day.isoformat(),
                active_users=engagement.active.get(day, 0),
                new_users=engagement.new.get(day, 0),
            )
            for day in engagement.days
        ],
    )
