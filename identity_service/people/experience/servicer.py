"""The RPCs of UserService for experience points (XP)."""

from chassis import paging
from chassis.calls import Context
from chassis.database import Database
from identity_service.people.experience import commands, store
from identity_service.people.experience.messages import to_award, to_message
from meno.identity.v1.resources_pb2 import XpEntry
from meno.identity.v1.user_service_pb2 import AwardXpRequest, ListXpEntriesRequest, ListXpEntriesResponse


class ExperienceServicer:
    """Serves the XP ledger of users."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def AwardXp(self, request: AwardXpRequest, context: Context) -> XpEntry:
        # Not an idempotent `write`: the ledger deduplicates awards, and keeps them longer than a day.
        async with self._database.transaction() as transaction:
            row = await commands.award_xp(transaction, to_award(request))
        return XpEntry() if row is None else to_message(row)

    async def ListXpEntries(self, request: ListXpEntriesRequest, context: Context) -> ListXpEntriesResponse:
        (before_id,) = paging.decode_page_token(request, (paging.MAX_UUID,))
        limit = paging.size(request) + 1
        rows = await store.list_by_user(self._database, request.user_id, before_id, limit)
        rows, next_page_token = paging.page(request, rows, lambda row: (row.xp_entry_id,))
        return ListXpEntriesResponse(xp_entries=map(to_message, rows), next_page_token=next_page_token)
