"""The part of UserService that is about experience."""

from chassis import paging
from chassis.calls import Context
from chassis.database import Database
from chassis.wire import Spelling, timestamp
from identity_service.people.experience import rules, store
from identity_service.people.experience.store import EntryRow, NewEntry
from identity_service.people.users import store as users
from identity_service.people.users.store import Heir
from meno.identity.v1.user_service_pb2 import (
    AwardXpRequest,
    ListXpEntriesRequest,
    ListXpEntriesResponse,
    XpEntry,
    XpReason,
)

_REASONS = Spelling(XpReason)


class ExperienceServicer:
    """Keeps the ledger of experience, and shows it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def AwardXp(self, request: AwardXpRequest, context: Context) -> XpEntry:
        # The ledger itself remembers every request, for longer than a day.
        async with self._database.transaction() as transaction:
            # Awards to one person queue on their row, and each sees those before it.
            heir = await users.locked_heir(transaction, request.user_id)
            if heir is None:
                return XpEntry()
            row = await store.awarded(transaction, heir.user_id, request.request_id)
            if row is None:
                row = await store.add(transaction, _new(request, heir))
        return _message(row)

    async def ListXpEntries(self, request: ListXpEntriesRequest, context: Context) -> ListXpEntriesResponse:
        (before_id,) = paging.position(request, (paging.AFTER_ALL_IDS,))
        rows = await store.of_user(self._database, request.user_id, before_id, paging.size(request) + 1)
        rows, following = paging.page(request, rows, lambda row: (row.xp_entry_id,))
        return ListXpEntriesResponse(xp_entries=map(_message, rows), next_page_token=following)


def _new(request: AwardXpRequest, heir: Heir) -> NewEntry:
    amount = rules.applied(heir.xp, request.amount)
    reason = _REASONS.text(request.reason)
    return NewEntry(heir.user_id, request.request_id, amount, reason, request.reference_id or None)


def _message(row: EntryRow) -> XpEntry:
    return XpEntry(
        xp_entry_id=row.xp_entry_id,
        amount=row.amount,
        reason=_REASONS.number(row.reason),
        reference_id=row.reference_id or "",
        create_time=timestamp(row.created_at),
    )
