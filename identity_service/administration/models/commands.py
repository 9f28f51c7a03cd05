"""Use cases of models."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from chassis import audit, etags
from chassis.database import Executor, Transaction
from identity_service.administration.models import store
from identity_service.administration.models.backends import store as backends
from identity_service.administration.models.types import ModelFields, ModelRow
from identity_service.errors import (
    ModelBackendDeleted,
    ModelBackendNotFound,
    ModelInUse,
    ModelNotFound,
    NameTaken,
)
from meno.access.v1.resources_pb2 import AuditAction


async def create_model(transaction: Transaction, backend_id: str, fields: ModelFields) -> ModelRow:
    """Creates a model of a backend. Raises ModelBackendNotFound or NameTaken."""
    if not await backends.lock_for_share(transaction, backend_id):
        raise ModelBackendNotFound(backend_id)
    row = await store.add(transaction, backend_id, fields)
    if row is None:
        raise NameTaken(fields.model_name)
    await _record(transaction, AuditAction.AUDIT_ACTION_MODEL_CREATED, row)
    return row


async def get_model(executor: Executor, model_id: str) -> ModelRow:
    """Returns a model. Raises ModelNotFound."""
    row = await store.get(executor, model_id)
    if row is None:
        raise ModelNotFound(model_id)
    return row


async def update_model(
    transaction: Transaction, model_id: str, etag: str, changes: Mapping[str, Any]
) -> ModelRow:
    """Changes fields of a model and returns it. Raises ModelNotFound, EtagMismatch or NameTaken."""
    row = await _lock_any(transaction, model_id)
    if row.deleted_at is not None:
        raise ModelNotFound(model_id)
    etags.check(etag, row.version)
    fields = row.fields()._replace(**changes)
    updated = await store.update_model(transaction, row.model_id, fields)
    if updated is None:
        raise NameTaken(fields.model_name)
    await _record(transaction, AuditAction.AUDIT_ACTION_MODEL_UPDATED, row)
    return updated


async def delete_model(transaction: Transaction, model_id: str, etag: str, by_user_id: str) -> ModelRow:
    """Deletes a model until it is restored or purged. Changes nothing if it is deleted already.

    Raises ModelNotFound, EtagMismatch, or ModelInUse if a component uses it.
    """
    row = await _lock_any(transaction, model_id)
    if row.deleted_at is not None:
        return row
    etags.check(etag, row.version)
    deleted = await store.mark_deleted_if_unused(transaction, row.model_id, by_user_id)
    if deleted is None:
        raise ModelInUse(row.model_id)
    await _record(transaction, AuditAction.AUDIT_ACTION_MODEL_DELETED, row)
    return deleted


async def undelete_model(transaction: Transaction, model_id: str) -> ModelRow:
    """Restores a deleted model. Changes nothing if it is not deleted.

    Raises ModelNotFound, ModelBackendDeleted or NameTaken.
    """
    row = await _lock_any(transaction, model_id)
    if row.deleted_at is None:
        return row
    if not await backends.lock_for_share(transaction, row.backend_id):
        raise ModelBackendDeleted(row.backend_id)
    restored = await store.undelete(transaction, row.model_id)
    if restored is None:
        raise NameTaken(row.model_name, "Rename the other model first.")
    await _record(transaction, AuditAction.AUDIT_ACTION_MODEL_UNDELETED, row)
    return restored


async def purge_models(transaction: Transaction, retention: timedelta) -> None:
    """Purges the models that were deleted more than `retention` ago."""
    for model_id in await store.purge(transaction, retention):
        await audit.record(transaction, AuditAction.AUDIT_ACTION_MODEL_PURGED, resource_id=model_id)


async def _lock_any(transaction: Transaction, model_id: str) -> ModelRow:
    """Locks a model, deleted or not, until the transaction ends."""
    row = await store.get_for_update(transaction, model_id)
    if row is None:
        raise ModelNotFound(model_id)
    return row


async def _record(transaction: Transaction, action: AuditAction.ValueType, row: ModelRow) -> None:
    await audit.record(transaction, action, resource_id=row.model_id)
