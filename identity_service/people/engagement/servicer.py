"""The RPCs of UserService for engagement statistics."""

from datetime import UTC, datetime, timedelta

from chassis import paging
from chassis.calls import Context
from chassis.database import Database
from identity_service.people.engagement import commands, rules, store
from identity_service.people.engagement.messages import to_message
from identity_service.people.users.messages import to_message as to_user
from meno.identity.v1.resources_pb2 import EngagementStats
from meno.identity.v1.user_service_pb2 import (
    GetEngagementStatsRequest,
    ListInactiveUsersRequest,
    ListInactiveUsersResponse,
)


class EngagementServicer:
    """Serves engagement statistics to administrators."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ListInactiveUsers(
        self, request: ListInactiveUsersRequest, context: Context
    ) -> ListInactiveUsersResponse:
        inactive_for = timedelta(days=request.days) if request.days else rules.INACTIVE_AFTER
        after, after_id = paging.decode_page_token(request, (paging.MIN_TIMESTAMP, paging.MIN_UUID))
        limit = paging.size(request) + 1
        rows = await store.list_inactive(self._database, inactive_for, after, after_id, limit)
        now = datetime.now(UTC)
        users = [to_user(row, now) for row in rows]
        fits = paging.count_within_bytes(user.ByteSize() for user in users)
        rows, next_page_token = paging.page(
            request, rows, lambda row: (row.last_active_at, row.user_id), fits
        )
        return ListInactiveUsersResponse(users=users[: len(rows)], next_page_token=next_page_token)

    async def GetEngagementStats(
        self, request: GetEngagementStatsRequest, context: Context
    ) -> EngagementStats:
        today = datetime.now(UTC).date()
        days = request.days or rules.DEFAULT_DAYS
        return to_message(await commands.get_engagement(self._database, today, days))
