"""Creates guest accounts, and merges a guest into another account."""

from datetime import date

from chassis import audit
from chassis.database import Database, Transaction
from identity_service.account_feed import commands as account_feed
from identity_service.administration.config.reader import ConfigReader
from identity_service.errors import GuestSignInDisabled, RefreshTokenInvalid, UserNotFound
from identity_service.people.activity import store as activity
from identity_service.people.activity.rules import LOOKBACK
from identity_service.people.users import rules as user_rules
from identity_service.people.users import store as users
from identity_service.people.users.types import UserRow
from identity_service.sign_in.guests import rules, store
from identity_service.sign_in.identifiers import store as identifiers
from identity_service.sign_in.sign_ins import commands as sign_ins
from identity_service.sign_in.tokens import commands as tokens
from identity_service.sign_in.tokens import rules as token_rules
from identity_service.sign_in.tokens.token_service import TokenService
from identity_service.sign_in.tokens.types import SignInTokens
from meno.access.v1.resources_pb2 import AuditAction


async def sign_in_as_guest(
    database: Database, token_service: TokenService, config: ConfigReader, display_name: str
) -> SignInTokens:
    """Creates a guest account and signs it in. Raises GuestSignInDisabled."""
    if not await config.value(database, "guest_sign_in_enabled"):
        raise GuestSignInDisabled()
    name = display_name or rules.DEFAULT_NAME
    async with database.transaction() as transaction:
        user_id = await identifiers.add_guest(transaction, name, user_rules.default_nickname(name))
        return await token_service.begin(transaction, user_id, request_id="", proof="")


async def merge_guest(transaction: Transaction, guest_refresh_token: str, user_id: str) -> UserRow:
    """Merges a guest into a user and returns the user. A retry has no further effect.

    Raises RefreshTokenInvalid unless the token is the current refresh token of a guest, or UserNotFound if
    the user is deleted.
    """
    presented = token_rules.parse(guest_refresh_token)
    if presented is None:
        raise RefreshTokenInvalid()
    guest = await store.get_for_update(transaction, presented.user_id)
    if guest is None or not guest.guest or guest.user_id == user_id:
        raise RefreshTokenInvalid()
    if guest.merged_into_user_id != user_id:
        if await users.get_for_update(transaction, user_id) is None:
            raise UserNotFound(user_id)
        if guest.deleted_at or guest.deactivated_at or not await tokens.is_valid(transaction, presented):
            raise RefreshTokenInvalid()
        await _merge(transaction, guest.user_id, user_id)
    user = await users.get(transaction, user_id)
    if user is None:
        raise UserNotFound(user_id)
    return user


async def _merge(transaction: Transaction, guest_id: str, user_id: str) -> None:
    await sign_ins.end_all(transaction, guest_id)
    await store.move_xp(transaction, guest_id, user_id)
    await _move_days(transaction, guest_id, user_id)
    await store.mark_merged(transaction, guest_id, user_id)
    await account_feed.publish_user_merged(transaction, guest_id, user_id)
    action = AuditAction.AUDIT_ACTION_GUEST_MERGED
    await audit.record(transaction, action, user_id=user_id, resource_id=guest_id)


async def _move_days(transaction: Transaction, guest_id: str, user_id: str) -> None:
    """Adds the activity days of a guest to those of a user."""
    guest_days = await activity.list_from_day(transaction, guest_id, date.min)
    if not guest_days:
        return
    known = await activity.list_from_day(transaction, user_id, guest_days[0].day - LOOKBACK)
    days = rules.merge_days(known, guest_days)
    await activity.upsert(transaction, user_id, [day for day in days if day not in {*known}])
    await activity.copy_last_active(transaction, user_id, days[-1])
