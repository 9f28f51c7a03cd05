"""Erases a person: here at once, everywhere by the account feed."""

from chassis import audit
from chassis.database import Transaction
from identity_service.account_feed import store as accounts
from identity_service.administration.audit.chain import SERVICE
from identity_service.data_rights import RULES
from identity_service.lifecycle.erasures import store
from meno.access.v1.audit_service_pb2 import AuditAction


async def erase(transaction: Transaction, user_id: str) -> None:
    """Deletes whatever names the person, and has the other services do the same."""
    await audit.record(transaction, AuditAction.AUDIT_ACTION_USER_ERASED, user_id=user_id)
    await store.add(transaction, user_id)
    rows = await RULES.erase(transaction, user_id)
    await audit.record(transaction, AuditAction.AUDIT_ACTION_USER_DATA_ERASED, user_id=user_id, rows=rows)
    await store.add_receipt(transaction, user_id, SERVICE, rows)
    # Last, for it takes the lock of the account feed: rows of others were cleared before.
    await accounts.erase_user(transaction, user_id)
