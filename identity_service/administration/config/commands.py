"""Use cases of the configuration."""

from typing import Any

from chassis import audit, etags
from chassis.database import Transaction
from identity_service.administration.config import rules, store
from identity_service.administration.config.rules import ConfigKey
from identity_service.administration.config.types import ConfigRow
from meno.access.v1.resources_pb2 import AuditAction


async def set_value(
    transaction: Transaction, key: ConfigKey, etag: str, value: Any, by_user_id: str
) -> ConfigRow:
    """Sets a value and returns it. Raises FieldInvalid or EtagMismatch."""
    await _lock(transaction, key, etag)
    row = await store.upsert(transaction, key.name, key.parse(value), by_user_id)
    await _record(transaction, key)
    return row


async def reset_value(transaction: Transaction, key: ConfigKey, etag: str) -> None:
    """Resets a value to its default. Raises EtagMismatch."""
    await _lock(transaction, key, etag)
    await store.delete_value(transaction, key.name)
    await _record(transaction, key)


async def _lock(transaction: Transaction, key: ConfigKey, etag: str) -> None:
    await store.lock(transaction)
    row = await store.get(transaction, key.name)
    etags.check(etag, row.version if row else rules.UNSET_VERSION)


async def _record(transaction: Transaction, key: ConfigKey) -> None:
    await audit.record(transaction, AuditAction.AUDIT_ACTION_CONFIG_SET, key=key.name)
