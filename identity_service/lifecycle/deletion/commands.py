"""Use cases that change the role or the state of an account. Each takes the transaction of the call.

A call that asks for the role or the state that the account already has changes nothing.
"""

from chassis import audit, etags
from chassis.database import Transaction
from identity_service.account_feed import commands as account_feed
from identity_service.classes.memberships import commands as memberships
from identity_service.lifecycle import removal
from identity_service.lifecycle.deletion import store
from identity_service.people.users import commands as users
from identity_service.people.users.types import UserRow
from identity_service.sign_in.sign_ins import commands as sign_ins
from meno.access.v1.resources_pb2 import AuditAction


async def set_global_role(transaction: Transaction, user_id: str, role: str) -> UserRow:
    """Changes the global role of a user and revokes their tokens. Raises UserNotFound or LastAdmin."""
    row = await users.lock_user(transaction, user_id)
    if role != row.role:
        await users.check_not_last_admin(transaction, row)
        await store.set_role(transaction, row.user_id, role)
        await account_feed.revoke_tokens(transaction, row.user_id)
        action = AuditAction.AUDIT_ACTION_USER_ROLE_SET
        await audit.record(transaction, action, user_id=row.user_id, before=row.role, after=role)
    return await users.get_user(transaction, row.user_id)


async def deactivate_user(transaction: Transaction, user_id: str, by_user_id: str, *, force: bool) -> UserRow:
    """Deactivates an account and ends its sign-ins.

    Raises UserNotFound or LastAdmin. Unless `force` is set, raises LastTeacher with the active classes that
    would have no active teacher.
    """
    row = await users.lock_user(transaction, user_id)
    if row.deactivated_at is None:
        await users.check_not_last_admin(transaction, row)
        if not force:
            alternative = ", or set force to deactivate the user anyway"
            await memberships.check_not_last_teacher(transaction, row.user_id, alternative=alternative)
        await store.deactivate(transaction, row.user_id, by_user_id)
        await sign_ins.end_all(transaction, row.user_id)
        await audit.record(transaction, AuditAction.AUDIT_ACTION_USER_DEACTIVATED, user_id=row.user_id)
    return await users.get_user(transaction, row.user_id)


async def reactivate_user(transaction: Transaction, user_id: str) -> UserRow:
    """Reactivates an account. Ended sign-ins stay ended. Raises UserNotFound."""
    row = await users.lock_user(transaction, user_id)
    if row.deactivated_at is not None:
        await store.reactivate(transaction, row.user_id)
        await audit.record(transaction, AuditAction.AUDIT_ACTION_USER_REACTIVATED, user_id=row.user_id)
    return await users.get_user(transaction, row.user_id)


async def delete_user(transaction: Transaction, user_id: str, etag: str, by_user_id: str) -> UserRow:
    """Deletes an account until it is restored or erased, and ends its sign-ins.

    Raises UserNotFound, EtagMismatch, LastAdmin or LastTeacher.
    """
    row = await users.lock_user(transaction, user_id, include_deleted=True)
    if row.deleted_at is None:
        etags.check(etag, row.version)
        await removal.check_removable(transaction, row)
        await store.mark_deleted(transaction, row.user_id, by_user_id)
        await sign_ins.end_all(transaction, row.user_id)
        await audit.record(transaction, AuditAction.AUDIT_ACTION_USER_DELETED, user_id=row.user_id)
    return await users.get_user(transaction, row.user_id, include_deleted=True)


async def undelete_user(transaction: Transaction, user_id: str) -> UserRow:
    """Restores a deleted account. Raises UserNotFound."""
    row = await users.lock_user(transaction, user_id, include_deleted=True)
    if row.deleted_at is not None:
        await store.undelete(transaction, row.user_id)
        await audit.record(transaction, AuditAction.AUDIT_ACTION_USER_UNDELETED, user_id=row.user_id)
    return await users.get_user(transaction, row.user_id, include_deleted=True)
