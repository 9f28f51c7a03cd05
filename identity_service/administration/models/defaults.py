"""Default models: one OpenAI model for all components that require a language model."""

from chassis import audit
from chassis.database import Transaction
from identity_service.administration.models import rules, store
from identity_service.administration.models.backends import store as backend_store
from identity_service.administration.models.backends.types import BackendFields, BackendRow
from identity_service.administration.models.components import commands as component_commands
from identity_service.administration.models.components import store as component_store
from identity_service.administration.models.types import ModelFields, ModelRow
from meno.access.v1.resources_pb2 import AuditAction

BACKEND = BackendFields("OpenAI", "openai", key_reference="env:OPENAI_API_KEY")
MODEL = ModelFields("gpt-5.2", rules.DEFAULT_TEMPERATURE, rules.DEFAULT_MAX_OUTPUT_TOKENS)
COMPONENTS = (
    "tutor",
    "book_ingestion",
    "study_plan_generator",
    "study_plan_reviewer",
    "eval_evaluator",
    "eval_simulator",
)


class BackendNameConflict(Exception):
    """A backend of another provider has the name of the default backend."""


async def load(transaction: Transaction) -> list[str]:
    """Creates the default backend and model if they are missing, and assigns the model to the components.

    Returns the changes, one line each. Raises BackendNameConflict.
    """
    changes: list[str] = []
    backend = await _ensure_backend(transaction, changes)
    model = await _ensure_model(transaction, backend, changes)
    assigned = {row.component: row.model_id for row in await component_store.list_all(transaction)}
    for component in COMPONENTS:
        if assigned.get(component) != model.model_id:
            await component_commands.set_model(transaction, component, model.model_id, None)
            changes.append(f"{component} uses {MODEL.model_name}")
    return changes


async def _ensure_backend(transaction: Transaction, changes: list[str]) -> BackendRow:
    added = await backend_store.add(transaction, BACKEND)
    if added is not None:
        action = AuditAction.AUDIT_ACTION_MODEL_BACKEND_CREATED
        await audit.record(transaction, action, resource_id=added.backend_id)
        changes.append(
            f"added the backend {BACKEND.name}: set its key as {BACKEND.key_reference} in the environment of "
            "each service that uses it"
        )
        return added
    existing = await backend_store.get_by_name(transaction, BACKEND.name)
    if existing is None or existing.provider != BACKEND.provider:
        raise BackendNameConflict(
            f"there is another backend named {BACKEND.name}: rename it and run this command again"
        )
    return existing


async def _ensure_model(transaction: Transaction, backend: BackendRow, changes: list[str]) -> ModelRow:
    added = await store.add(transaction, backend.backend_id, MODEL)
    if added is not None:
        await audit.record(transaction, AuditAction.AUDIT_ACTION_MODEL_CREATED, resource_id=added.model_id)
        changes.append(f"added the model {MODEL.model_name}")
        return added
    existing = await store.get_by_name(transaction, backend.backend_id, MODEL.model_name)
    assert existing is not None, "a model with this name caused the conflict"
    return existing
