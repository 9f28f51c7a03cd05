"""Use cases of component models."""

from chassis import audit
from chassis.database import Executor, Transaction
from identity_service.administration.models import store as models
from identity_service.administration.models.components import rules, store
from identity_service.administration.models.components.types import ComponentRow, ResolvedRow
from identity_service.errors import ComponentNotConfigured, ModelNotFound
from meno.access.v1.resources_pb2 import AuditAction


async def set_model(
    transaction: Transaction, component: str, model_id: str, by_user_id: str | None
) -> ComponentRow:
    """Sets the model that a component uses. Raises ModelNotFound."""
    if not await models.lock_for_share(transaction, model_id):
        raise ModelNotFound(model_id)
    row = await store.upsert(transaction, component, model_id, by_user_id)
    action = AuditAction.AUDIT_ACTION_COMPONENT_MODEL_SET
    await audit.record(transaction, action, resource_id=row.model_id, component=rules.label(component))
    return row


async def resolve_model(executor: Executor, component: str) -> ResolvedRow:
    """Returns the model of a component. Raises ComponentNotConfigured."""
    row = await store.resolve(executor, component)
    if row is None:
        raise ComponentNotConfigured(rules.label(component))
    return row
