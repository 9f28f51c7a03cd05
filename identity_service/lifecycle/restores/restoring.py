"""What has to be done to a database that was restored, before anybody is served from it."""

from collections.abc import Iterable

from chassis import audit
from chassis.database import Connection, Transaction
from identity_service.lifecycle.erasures import store as erasures
from identity_service.lifecycle.erasures.erasing import erase
from identity_service.lifecycle.restores import store
from identity_service.people.users import store as users
from meno.access.v1.audit_service_pb2 import AuditAction

_CONNECT_SECONDS = 10


async def begin_epoch(url: str) -> int:
    """Begins a new epoch of the account feed, and ends every sign-in; returns how many there were.

    What was withdrawn since the backup holds again in it, stolen refresh tokens too, and tokens that were
    refreshed since would be taken for theft. Keys go as well: with them whatever access token there still
    is, and they could not be read where the service has another secret than it had then.
    """
    async with await Connection.connect(url, connect_timeout=_CONNECT_SECONDS) as connection:
        transaction = Transaction(connection)
        await store.begin_epoch(transaction)
        await store.forget_keys(transaction)
        ended = await store.end_sign_ins(transaction)
        await audit.record(transaction, AuditAction.AUDIT_ACTION_BACKUP_RESTORED, sign_ins=ended)
        return ended


async def erase_again(url: str, user_ids: Iterable[str]) -> int:
    """Erases people of whom the database does not know that they were; returns how many.

    Nobody is asked whether they can be done without: that was decided when they were erased.
    """
    erased = 0
    async with await Connection.connect(url, connect_timeout=_CONNECT_SECONDS) as connection:
        for user_id in user_ids:
            transaction = Transaction(connection)
            await users.locked(transaction, user_id, deleted=True)
            if await erasures.get(transaction, user_id) is None:
                await erase(transaction, user_id)
                erased += 1
            await connection.commit()
    return erased
