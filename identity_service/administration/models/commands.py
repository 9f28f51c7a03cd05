"""Use cases of models."""

from collections.abc import Mapping
from typing import Any

from chassis import audit, etags
from chassis.database import Executor, Transaction
from identity_service.administration.models import store
from identity_service.administration.models.backends import store as backends
from identity_service.administration.models.types import ModelFields, ModelRow
from identity_service.errors import ModelBackendNotFound, ModelInUse, ModelNotFound, NameTaken
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
    row = await _lock(transaction, model_id, etag)
    fields = row.fields()._replace(**changes)
    updated = await store.update_model(transaction, row.model_id, fields)
    if updated is None:
        raise NameTaken(fields.model_name)
    await _record(transaction, AuditAction.AUDIT_ACTION_MODEL_UPDATED, row)
    return updated


async def delete_model(transaction: Transaction, model_id: str, etag: str) -> None:
    """Deletes a model that no component uses. Raises ModelNotFound, EtagMismatch or ModelInUse."""
    row = await _lock(transaction, model_id, etag)
    if not await store.delete_unused(transaction, row.model_id):
        raise ModelInUse(row.model_id)
    await _record(transaction, AuditAction.AUDIT_ACTION_MODEL_DELETED, row)


async def _lock(transaction: Transaction, model_id: str, etag: str) -> ModelRow:
    row = await store.get_for_update(transaction, model_id)
    if row is None:
        raise ModelNotFound(model_id)
    etags.check(etag, row.version)
    return row


async def _record(transaction: Transaction, action: AuditAction.ValueType, row: ModelRow) -> None:
    await audit.record(transaction, action, resource_id=row.model_id)
