"""Ends sign-ins: their refresh tokens become invalid, and the account feed revokes their access tokens.

Lock order, which prevents deadlocks: the row of the user, then the rows of the sign-ins, then the lock of
the account feed.
"""

from chassis import audit
from chassis.database import Transaction
from identity_service.account_feed import commands as account_feed
from identity_service.people.users import store as users
from identity_service.sign_in.sign_ins import store
from meno.access.v1.resources_pb2 import AuditAction


async def end(transaction: Transaction, user_id: str, sign_in_id: str) -> None:
    """Ends one sign-in of a user. Has no effect if it has already ended."""
    ended = await store.end(transaction, user_id, sign_in_id)
    if ended is not None:
        await account_feed.publish_sign_in_ended(transaction, user_id, ended)


async def end_all(transaction: Transaction, user_id: str, *, kept_id: str | None = None) -> bool:
    """Ends the sign-ins of a user and revokes all their access tokens.

    Returns False if there were none. The sign-in `kept_id` keeps its refresh token; its access tokens are
    revoked also.
    """
    await users.get_for_update(transaction, user_id)
    ended = await store.end_all(transaction, user_id, kept_id)
    if not ended and kept_id is None:
        return False
    await account_feed.revoke_tokens(transaction, user_id)
    return True


async def sign_out_everywhere(transaction: Transaction, user_id: str) -> None:
    """Ends all sign-ins of a user and records it in the audit log."""
    if await end_all(transaction, user_id):
        await audit.record(transaction, AuditAction.AUDIT_ACTION_SIGNED_OUT_EVERYWHERE, user_id=user_id)
