"""Use cases after the restore of a backup, before the service starts again."""

from collections.abc import Iterable

from chassis import audit
from chassis.database import Connection, Transaction
from identity_service.lifecycle.erasures import commands as erasures
from identity_service.lifecycle.erasures import store as erasure_store
from identity_service.lifecycle.restores import store
from identity_service.people.users import store as users
from meno.access.v1.resources_pb2 import AuditAction

_CONNECT_TIMEOUT_SECONDS = 10


async def begin_epoch(url: str) -> int:
    """Begins a new epoch of the account feed and ends every sign-in. Returns the number of ended sign-ins.

    Sign-ins end because a restored database contains refresh tokens that were revoked since the backup, stolen
    ones included. Tokens that were refreshed since the backup would also be taken for stolen ones.

    Signing keys are deleted too: access tokens that still exist become invalid, and the keys would be
    unreadable if the secret of the service has changed since the backup.
    """
    async with await Connection.connect(url, connect_timeout=_CONNECT_TIMEOUT_SECONDS) as connection:
        transaction = Transaction(connection)
        await store.begin_epoch(transaction)
        await store.delete_keys(transaction)
        ended = await store.end_sign_ins(transaction)
        await audit.record(transaction, AuditAction.AUDIT_ACTION_BACKUP_RESTORED, sign_ins=ended)
        return ended


async def reapply_erasures(url: str, user_ids: Iterable[str]) -> int:
    """Re-applies erasures that were made after the backup. Returns the number of users erased.

    Does not check whether a user may be removed, because the erasure was permitted when it was made.
    """
    erased = 0
    async with await Connection.connect(url, connect_timeout=_CONNECT_TIMEOUT_SECONDS) as connection:
        for user_id in user_ids:
            transaction = Transaction(connection)
            await users.get_for_update(transaction, user_id, include_deleted=True)
            if await erasure_store.get(transaction, user_id) is None:
                await erasures.erase(transaction, user_id)
                erased += 1
            await connection.commit()
    return erased
