"""The part of UserService that is about everybody's use."""

from datetime import UTC, datetime, time, timedelta

from chassis import paging
from chassis.calls import Context
from chassis.database import Database
from identity_service.people.engagement import rules, store
from identity_service.people.users.servicer import message
from meno.identity.v1.user_service_pb2 import (
    EngagementStats,
    GetEngagementStatsRequest,
    ListInactiveUsersRequest,
    ListInactiveUsersResponse,
)

_BEFORE_ALL = datetime(1, 1, 1, tzinfo=UTC)


class EngagementServicer:
    """Tells administrators who stays away, and how many come and study."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ListInactiveUsers(
        self, request: ListInactiveUsersRequest, context: Context
    ) -> ListInactiveUsersResponse:
        away = timedelta(days=request.days) if request.days else rules.AWAY
        after, after_id = paging.position(request, (_BEFORE_ALL, paging.BEFORE_ALL_IDS))
        rows = await store.inactive(self._database, away, after, after_id, paging.size(request) + 1)
        users = [message(row) for row in rows]
        fits = paging.fitting(user.ByteSize() for user in users)
        rows, following = paging.page(request, rows, lambda row: (row.last_active_at, row.user_id), fits)
        return ListInactiveUsersResponse(users=users[: len(rows)], next_page_token=following)

    async def GetEngagementStats(
        self, request: GetEngagementStatsRequest, context: Context
    ) -> EngagementStats:
        days = rules.days_up_to(datetime.now(UTC).date(), request.days or rules.DAYS)
        since = datetime.combine(days[0], time(), UTC)
        until = datetime.combine(days[-1], time(), UTC) + timedelta(days=1)
        active = await store.active(self._database, since, until)
        new = await store.new(self._database, since, until)
        return EngagementStats(
            active_users=active.get(None, 0),
            new_users=sum(new.values()),
            xp_awarded=await store.awarded(self._database, since, until),
            days=[
                EngagementStats.Day(
                    date=day.isoformat(), active_users=active.get(day, 0), new_users=new.get(day, 0)
                )
                for day in days
            ],
        )
