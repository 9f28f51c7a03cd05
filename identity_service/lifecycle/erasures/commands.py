"""Use cases of erasures. Each takes the transaction of the call."""

from chassis import audit
from chassis.database import Executor, Transaction
from identity_service.account_feed import commands as account_feed
from identity_service.administration.audit.commands import SERVICE
from identity_service.data_rights import RULES
from identity_service.errors import ErasureNotFound, UserNotFound
from identity_service.lifecycle import removal
from identity_service.lifecycle.erasures import store
from identity_service.lifecycle.erasures.types import ErasureProgress
from identity_service.people.users import store as users
from meno.access.v1.resources_pb2 import AuditAction


async def erase_user(transaction: Transaction, user_id: str) -> ErasureProgress:
    """Erases a user who may be removed. Changes nothing if the user has already been erased.

    Raises UserNotFound, LastAdmin or LastTeacher.
    """
    user = await users.get_for_update(transaction, user_id, include_deleted=True)
    if user is not None:
        await removal.check_removable(transaction, user)
        await erase(transaction, user_id)
    elif await store.get(transaction, user_id) is None:
        raise UserNotFound(user_id)
    return await get_erasure(transaction, user_id)


async def get_erasure(executor: Executor, user_id: str) -> ErasureProgress:
    """Returns the erasure of a user with its receipts. Raises ErasureNotFound."""
    created_at = await store.get(executor, user_id)
    if created_at is None:
        raise ErasureNotFound(user_id)
    return ErasureProgress(user_id, created_at, await store.list_receipts(executor, user_id))


async def erase(transaction: Transaction, user_id: str) -> None:
    """Deletes all data of a user in this service, and publishes the erasure to the other services.

    Does not check whether the user may be removed.
    """
    await audit.record(transaction, AuditAction.AUDIT_ACTION_USER_ERASED, user_id=user_id)
    await store.add(transaction, user_id)
    rows = await RULES.erase(transaction, user_id)
    await audit.record(transaction, AuditAction.AUDIT_ACTION_USER_DATA_ERASED, user_id=user_id, rows=rows)
    await store.add_receipt(transaction, user_id, SERVICE, rows)
    # Last, because it takes the lock of the account feed, which every transaction takes after its row locks.
    await account_feed.publish_user_erased(transaction, user_id)
