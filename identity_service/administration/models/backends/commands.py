"""Use cases of model backends."""

from collections.abc import Mapping
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
    row = await _lock(transaction, backend_id, etag)
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


async def delete_backend(transaction: Transaction, backend_id: str, etag: str) -> None:
    """Deletes a backend without models. Raises ModelBackendNotFound, EtagMismatch or ModelBackendInUse."""
    row = await _lock(transaction, backend_id, etag)
    if not await store.delete_unused(transaction, row.backend_id):
        raise ModelBackendInUse(row.backend_id)
    await _record(transaction, AuditAction.AUDIT_ACTION_MODEL_BACKEND_DELETED, row)


async def _lock(transaction: Transaction, backend_id: str, etag: str) -> BackendRow:
    row = await store.get_for_update(transaction, backend_id)
    if row is None:
        raise ModelBackendNotFound(backend_id)
    etags.check(etag, row.version)
    return row


async def _record(transaction: Transaction, action: AuditAction.ValueType, row: BackendRow) -> None:
    await audit.record(transaction, action, resource_id=row.backend_id)
