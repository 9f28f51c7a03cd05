"""Use cases of classes.

Each takes the transaction of the call, except the purge, which opens one transaction for each class.
"""

import secrets
from datetime import timedelta

from chassis import audit, etags
from chassis.database import Database, Transaction
from identity_service.account_feed import commands as account_feed
from identity_service.administration.config.reader import ConfigReader
from identity_service.classes import rules, store
from identity_service.classes.types import ClassChanges, ClassFields, ClassRow
from identity_service.errors import ClassArchived, ClassNotFound, TooManyClasses, UserNotFound
from identity_service.people.users import store as users
from meno.access.v1.access_pb2 import ClassState
from meno.access.v1.resources_pb2 import AuditAction


async def create_class(transaction: Transaction, fields: ClassFields, user_id: str) -> ClassRow:
    """Creates a class with the user as its teacher. Raises TooManyClasses or UserNotFound."""
    await check_class_limit(transaction, user_id)
    row = await store.add(transaction, fields, rules.new_join_code(secrets.choice), user_id)
    await audit.record(transaction, AuditAction.AUDIT_ACTION_CLASS_CREATED, class_id=row.class_id)
    await audit.record(
        transaction,
        AuditAction.AUDIT_ACTION_MEMBERSHIP_ADDED,
        user_id=user_id,
        class_id=row.class_id,
        role="TEACHER",
        how="CREATED",
    )
    return row


async def update_class(transaction: Transaction, class_id: str, changes: ClassChanges, etag: str) -> ClassRow:
    """Changes fields of an active class. Raises ClassNotFound, ClassArchived or EtagMismatch."""
    row = await lock_active(transaction, class_id)
    etags.check(etag, row.version)
    return await store.update_fields(transaction, class_id, rules.apply_changes(row, changes))


async def archive_class(transaction: Transaction, class_id: str) -> ClassRow:
    """Makes a class read-only. Changes nothing if it is archived already. Raises ClassNotFound."""
    row = await lock_existing(transaction, class_id)
    if row.archived_at is None:
        row = await store.archive(transaction, class_id)
        await _publish(transaction, row, AuditAction.AUDIT_ACTION_CLASS_ARCHIVED)
    return row


async def unarchive_class(transaction: Transaction, class_id: str) -> ClassRow:
    """Makes an archived class active again. Changes nothing if it is active. Raises ClassNotFound."""
    row = await lock_existing(transaction, class_id)
    if row.archived_at is not None:
        row = await store.unarchive(transaction, class_id)
        await _publish(transaction, row, AuditAction.AUDIT_ACTION_CLASS_UNARCHIVED)
    return row


async def delete_class(transaction: Transaction, class_id: str, etag: str, by_user_id: str) -> ClassRow:
    """Deletes a class until it is restored or purged. Changes nothing if it is deleted already.

    Raises ClassNotFound or EtagMismatch.
    """
    row = await lock_any(transaction, class_id)
    if row.deleted_at is None:
        etags.check(etag, row.version)
        row = await store.mark_deleted(transaction, class_id, by_user_id)
        await _publish(transaction, row, AuditAction.AUDIT_ACTION_CLASS_DELETED)
    return row


async def undelete_class(transaction: Transaction, class_id: str) -> ClassRow:
    """Restores a deleted class. Changes nothing if it is not deleted. Raises ClassNotFound."""
    row = await lock_any(transaction, class_id)
    if row.deleted_at is not None:
        row = await store.undelete(transaction, class_id)
        await _publish(transaction, row, AuditAction.AUDIT_ACTION_CLASS_UNDELETED)
    return row


async def rotate_join_code(transaction: Transaction, class_id: str) -> ClassRow:
    """Replaces the join code of an active class. Raises ClassNotFound or ClassArchived."""
    row = await lock_active(transaction, class_id)
    row = await store.replace_join_code(transaction, row, rules.new_join_code(secrets.choice))
    await audit.record(transaction, AuditAction.AUDIT_ACTION_JOIN_CODE_ROTATED, class_id=class_id)
    return row


async def purge_deleted_classes(database: Database, config: ConfigReader) -> None:
    """Purges every class that was deleted more than `class_purge_days` ago, one transaction each."""
    while await purge_next_class(database, config):
        pass


async def purge_next_class(database: Database, config: ConfigReader) -> bool:
    """Purges the class that was deleted first.

    Returns False if no class is due, or if another replica is purging.
    """
    async with database.transaction() as transaction:
        if not await store.try_lock_purge(transaction):
            return False
        days = await config.value(transaction, rules.PURGE_DAYS)
        class_id = await store.next_deleted_class(transaction, timedelta(days=days))
        if class_id is None:
            return False
        await store.purge(transaction, class_id)
        await account_feed.publish_class_changed(transaction, class_id, ClassState.CLASS_STATE_PURGED)
        await audit.record(transaction, AuditAction.AUDIT_ACTION_CLASS_PURGED, class_id=class_id)
        return True


async def lock_active(transaction: Transaction, class_id: str) -> ClassRow:
    """Locks an active class until the transaction ends. Raises ClassNotFound or ClassArchived.

    The lock of a class also protects its memberships.
    """
    row = await lock_existing(transaction, class_id)
    if row.archived_at is not None:
        raise ClassArchived(class_id)
    return row


async def lock_existing(transaction: Transaction, class_id: str) -> ClassRow:
    """Locks an active or archived class until the transaction ends. Raises ClassNotFound."""
    row = await lock_any(transaction, class_id)
    if row.deleted_at is not None:
        raise ClassNotFound(class_id)
    return row


async def lock_any(transaction: Transaction, class_id: str) -> ClassRow:
    """Locks an active, archived or deleted class until the transaction ends. Raises ClassNotFound."""
    row = await store.get_for_update(transaction, class_id)
    if row is None:
        raise ClassNotFound(class_id)
    return row


async def check_class_limit(transaction: Transaction, user_id: str) -> None:
    """Raises TooManyClasses if the user has as many active classes as allowed, or UserNotFound.

    Locks the user, so that no concurrent call exceeds the limit. If a call also locks a class, it locks the
    class first.
    """
    if await users.get_for_update(transaction, user_id) is None:
        raise UserNotFound(user_id)
    if await store.count_active_by_user(transaction, user_id) >= rules.MAX_CLASSES:
        raise TooManyClasses(rules.MAX_CLASSES)


async def _publish(transaction: Transaction, row: ClassRow, action: AuditAction.ValueType) -> None:
    """Appends the new state of a class to the account feed, and the action to the audit log."""
    await account_feed.publish_class_changed(transaction, row.class_id, rules.state(row))
    await audit.record(transaction, action, class_id=row.class_id)
