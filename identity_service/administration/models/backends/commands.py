"""Use cases of model backends."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from chassis import audit, etags
from chassis.database import Executor, Transaction
from identity_service.administration.models.backends import rules, store
from identity_service.administration.models.backends.types import BackendFields, BackendRow, EgressPolicy
from identity_service.errors import ModelBackendInUse, ModelBackendNotFound, NameTaken
from meno.access.v1.resources_pb2 import AuditAction


async def create_backend(transaction: Transaction, policy: EgressPolicy, fields: BackendFields) -> BackendRow:
    """Creates a backend. Raises FieldInvalid or NameTaken."""
    rules.check_backend(fields.provider, policy, base_url=fields.base_url, key_reference=fields.key_reference)
    row = await store.add(transaction, fields)
    if row is None:
        raise NameTaken(fields.name)
    await _record(transaction, AuditAction.AUDIT_ACTION_MODEL_BACKEND_CREATED, row)
    return row


async def get_backend(executor: Executor, backend_id: str) -> BackendRow:
    """Returns a backend. Raises ModelBackendNotFound."""
    row = await store.get(executor, backend_id)
    if row is None:
        raise ModelBackendNotFound(backend_id)
    return row


async def begin_test(transaction: Transaction, backend_id: str) -> BackendRow:
    """Returns a backend that is tested, and records the test. Raises ModelBackendNotFound."""
    row = await get_backend(transaction, backend_id)
    await _record(transaction, AuditAction.AUDIT_ACTION_MODEL_BACKEND_TESTED, row)
    return row


async def update_backend(
    transaction: Transaction, policy: EgressPolicy, backend_id: str, etag: str, changes: Mapping[str, Any]
) -> BackendRow:
    """Changes fields of a backend and returns it.

    Raises ModelBackendNotFound, EtagMismatch, NameTaken, or FieldInvalid with a field below `backend`.
    """
    row = await _lock_any(transaction, backend_id)
    if row.deleted_at is not None:
        raise ModelBackendNotFound(backend_id)
    etags.check(etag, row.version)
    rules.check_backend(
        row.provider,
        policy,
        base_url=changes.get("base_url", ""),
        key_reference=changes.get("key_reference", ""),
        path="backend.",
    )
    fields = row.fields()._replace(**changes)
    updated = await store.update_backend(transaction, row.backend_id, fields)
    if updated is None:
        raise NameTaken(fields.name)
    await _record(transaction, AuditAction.AUDIT_ACTION_MODEL_BACKEND_UPDATED, row)
    return updated


async def delete_backend(transaction: Transaction, backend_id: str, etag: str, by_user_id: str) -> BackendRow:
    """Deletes a backend without models until it is restored or purged. Changes nothing if it is deleted already.

    Raises ModelBackendNotFound, EtagMismatch or ModelBackendInUse.
    """
    row = await _lock_any(transaction, backend_id)
    if row.deleted_at is not None:
        return row
    etags.check(etag, row.version)
    deleted = await store.mark_deleted_if_unused(transaction, row.backend_id, by_user_id)
    if deleted is None:
        raise ModelBackendInUse(row.backend_id)
    await _record(transaction, AuditAction.AUDIT_ACTION_MODEL_BACKEND_DELETED, row)
    return deleted


async def undelete_backend(transaction: Transaction, backend_id: str) -> BackendRow:
    """Restores a deleted backend. Changes nothing if it is not deleted.

    Raises ModelBackendNotFound or NameTaken.
    """
    row = await _lock_any(transaction, backend_id)
    if row.deleted_at is None:
        return row
    restored = await store.undelete(transaction, row.backend_id)
    if restored is None:
        raise NameTaken(row.name, "Rename the other backend first.")
    await _record(transaction, AuditAction.AUDIT_ACTION_MODEL_BACKEND_UNDELETED, row)
    return restored


async def purge_backends(transaction: Transaction, retention: timedelta) -> None:
    """Purges the backends without models that were deleted more than `retention` ago."""
    action = AuditAction.AUDIT_ACTION_MODEL_BACKEND_PURGED
    for backend_id in await store.purge(transaction, retention):
        await audit.record(transaction, action, resource_id=backend_id)


async def _lock_any(transaction: Transaction, backend_id: str) -> BackendRow:
    """Locks a backend, deleted or not, until the transaction ends."""
    row = await store.get_for_update(transaction, backend_id)
    if row is None:
        raise ModelBackendNotFound(backend_id)
    return row


async def _record(transaction: Transaction, action: AuditAction.ValueType, row: BackendRow) -> None:
    await audit.record(transaction, action, resource_id=row.backend_id)
