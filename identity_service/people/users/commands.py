"""Use cases of users: profiles, accounts for others, and the protection of the last administrator."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from chassis import etags
from chassis.database import Executor, Transaction
from identity_service.administration.config.reader import ConfigReader
from identity_service.errors import LastAdmin, UserNotFound
from identity_service.people.preferences import commands as preferences
from identity_service.people.users import creation, rules, store
from identity_service.people.users.creation import NewAccount
from identity_service.people.users.types import UserRow


async def get_user(executor: Executor, user_id: str, *, include_deleted: bool = False) -> UserRow:
    """Returns a user. Raises UserNotFound."""
    row = await store.get(executor, user_id, include_deleted=include_deleted)
    if row is None:
        raise UserNotFound(user_id)
    return row


async def lock_user(transaction: Transaction, user_id: str, *, include_deleted: bool = False) -> UserRow:
    """Returns a user and locks the row until the transaction ends. Raises UserNotFound."""
    row = await store.get_for_update(transaction, user_id, include_deleted=include_deleted)
    if row is None:
        raise UserNotFound(user_id)
    return row


async def list_users(
    executor: Executor,
    role: str | None,
    after_id: UUID,
    limit: int,
    *,
    identifier: str,
    include_deleted: bool,
) -> list[UserRow]:
    """Returns users after an id, or the user with a login identifier, if one is given.

    `role` restricts both to one role.
    """
    if not identifier:
        return await store.list_after(executor, role, after_id, limit, include_deleted=include_deleted)
    user_id = await store.user_id_by_identifier(executor, rules.canonicalize(identifier))
    row = await store.get(executor, user_id, include_deleted=include_deleted) if user_id else None
    return [row] if row is not None and role in (None, row.role) else []


async def update_profile(
    transaction: Transaction, user_id: str, etag: str, changes: Mapping[str, Any]
) -> UserRow:
    """Changes fields of a profile and returns the user.

    Raises UserNotFound or EtagMismatch.
    """
    row = await lock_user(transaction, user_id)
    etags.check(etag, row.version)
    await store.update_profile(transaction, row.user_id, rules.apply_changes(row.profile(), changes))
    return await get_user(transaction, row.user_id)


async def complete_onboarding(
    transaction: Transaction, user_id: str, changes: Mapping[str, Any], time_zone: str
) -> UserRow:
    """Stores the answers to the onboarding questions and returns the user.

    An empty `time_zone` is not changed. Raises UserNotFound or FieldInvalid.
    """
    row = await lock_user(transaction, user_id)
    await store.update_profile(transaction, row.user_id, rules.apply_changes(row.profile(), changes))
    if time_zone:
        await preferences.set_time_zone(transaction, row.user_id, time_zone)
    return await get_user(transaction, row.user_id)


async def create_user(transaction: Transaction, account: NewAccount) -> UserRow:
    """Creates an account for another person and returns the user. Raises FieldInvalid or IdentifierTaken."""
    return await get_user(transaction, await creation.create(transaction, account, by_admin=True))


async def check_not_last_admin(transaction: Transaction, user: UserRow) -> None:
    """Raises LastAdmin if the user is the only active administrator.

    Until the transaction ends, no other transaction can remove an administrator.
    """
    if user.role != "ADMIN":
        return
    await store.lock_admins(transaction)
    if not await store.has_other_admin(transaction, user.user_id):
        raise LastAdmin(user.user_id)


async def get_purge_delay(
    executor: Executor, config: ConfigReader, rows: Iterable[UserRow]
) -> timedelta | None:
    """Returns the time between deletion and erasure, or None if none of these users is deleted."""
    if all(row.deleted_at is None for row in rows):
        return None
    return timedelta(days=await config.value(executor, "user_purge_days"))
