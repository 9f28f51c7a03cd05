"""Use cases of signing keys."""

from datetime import UTC, datetime

from chassis import audit
from chassis.database import Transaction
from identity_service.account_feed import commands as account_feed
from identity_service.sign_in.keys import store
from meno.access.v1.resources_pb2 import AuditAction


async def retire_key(transaction: Transaction, kid: str) -> bool:
    """Retires a key that leaked. Every service rejects its tokens, and another key signs.

    Returns False if there is no such key.
    """
    await store.lock(transaction)
    if not await store.retire(transaction, kid, datetime.now(UTC)):
        return False
    await audit.record(transaction, AuditAction.AUDIT_ACTION_SIGNING_KEY_RETIRED, kid=kid)
    await account_feed.publish_signing_key_retired(transaction, kid)
    return True
