"""Makes everything of a guest somebody else's."""

from datetime import UTC, date, datetime

from chassis import audit
from chassis.database import Transaction
from identity_service.account_feed import store as accounts
from identity_service.errors import RefreshTokenInvalid, UserNotFound
from identity_service.people.activity import store as activity
from identity_service.people.activity.rules import REACH
from identity_service.people.users import store as users
from identity_service.sign_in.guests import rules, store
from identity_service.sign_in.sign_ins import ending
from identity_service.sign_in.tokens import store as tokens
from identity_service.sign_in.tokens.rules import Family, RefreshToken, Verdict, judge
from meno.access.v1.audit_service_pb2 import AuditAction

_LAST = (Verdict.ROTATE, Verdict.REPEAT)


async def merge(transaction: Transaction, presented: RefreshToken, user_id: str) -> None:
    """Merges the guest whose last refresh token this is into a person; once, however often it is asked.

    Raises RefreshTokenInvalid, or UserNotFound where the person is no more.
    """
    guest = await store.locked(transaction, presented.user_id)
    if guest is None or not guest.guest or guest.user_id == user_id:
        raise RefreshTokenInvalid()
    if guest.merged_into_user_id == user_id:
        return
    if await users.locked(transaction, user_id) is None:
        raise UserNotFound(user_id)
    if guest.deleted_at or guest.deactivated_at or not await _is_last(transaction, presented):
        raise RefreshTokenInvalid()
    await ending.end_all(transaction, guest.user_id)
    await store.move_xp(transaction, guest.user_id, user_id)
    await _move_days(transaction, guest.user_id, user_id)
    await store.bury(transaction, guest.user_id, user_id)
    await accounts.merge_user(transaction, guest.user_id, user_id)
    action = AuditAction.AUDIT_ACTION_GUEST_MERGED
    await audit.record(transaction, action, user_id=user_id, resource_id=guest.user_id)


async def _move_days(transaction: Transaction, guest_id: str, user_id: str) -> None:
    """Makes the days on which a guest studied the person's, too."""
    guests = await activity.from_day(transaction, guest_id, date.min)
    if not guests:
        return
    known = await activity.from_day(transaction, user_id, guests[0].day - REACH)
    days = rules.united(known, guests)
    await activity.put(transaction, user_id, [day for day in days if day not in {*known}])
    await activity.mirror(transaction, user_id, days[-1])


async def _is_last(transaction: Transaction, presented: RefreshToken) -> bool:
    """Whether a refresh token would be exchanged now; nobody exchanges it until the transaction ends."""
    row = await tokens.locked(transaction, presented.user_id, presented.sign_in_id)
    return row is not None and judge(Family(*row[1:]), presented.hash(), datetime.now(UTC)) in _LAST
