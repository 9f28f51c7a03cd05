"""The models that most installations begin with: one of OpenAI's, for whatever needs a language model."""

from chassis import audit
from chassis.database import Transaction
from identity_service.administration.models import backend_store, component_store, model_store, rules
from identity_service.administration.models.backend_store import Backend, BackendRow
from identity_service.administration.models.model_store import Asked, ModelRow
from meno.access.v1.audit_service_pb2 import AuditAction

BACKEND = Backend("OpenAI", "OPENAI", key_reference="env:OPENAI_API_KEY")
MODEL = Asked("gpt-5.2", rules.DEFAULT_TEMPERATURE, rules.DEFAULT_MAX_OUTPUT)
COMPONENTS = (
    "TUTOR",
    "BOOK_INGESTION",
    "STUDY_PLAN_GENERATOR",
    "STUDY_PLAN_REVIEWER",
    "EVAL_EVALUATOR",
    "EVAL_SIMULATOR",
)


class OtherBackend(Exception):
    """The backend's name is that of another provider."""


async def load(transaction: Transaction) -> list[str]:
    """Adds what is missing and sets the components; says what it did, a line each. Raises OtherBackend."""
    did: list[str] = []
    backend = await _backend(transaction, did)
    model = await _model(transaction, backend, did)
    used = {row.component: row.model_id for row in await component_store.every(transaction)}
    for component in COMPONENTS:
        if used.get(component) == model.model_id:
            continue
        await component_store.put(transaction, component, model.model_id, None)
        await audit.record(
            transaction,
            AuditAction.AUDIT_ACTION_COMPONENT_MODEL_SET,
            resource_id=model.model_id,
            component=component,
        )
        did.append(f"{component} uses {MODEL.model_name}")
    return did


async def _backend(transaction: Transaction, did: list[str]) -> BackendRow:
    added = await backend_store.add(transaction, BACKEND)
    if added is not None:
        await audit.record(
            transaction, AuditAction.AUDIT_ACTION_MODEL_BACKEND_CREATED, resource_id=added.backend_id
        )
        did.append(
            f"added the backend {BACKEND.name}: its key is {BACKEND.key_reference}, wherever a service asks it"
        )
        return added
    known = await backend_store.named(transaction, BACKEND.name)
    if known is None or known.provider != BACKEND.provider:
        raise OtherBackend(f"there is another backend named {BACKEND.name}: rename it and run this again")
    return known


async def _model(transaction: Transaction, backend: BackendRow, did: list[str]) -> ModelRow:
    added = await model_store.add(transaction, backend.backend_id, MODEL)
    if added is not None:
        await audit.record(transaction, AuditAction.AUDIT_ACTION_MODEL_CREATED, resource_id=added.model_id)
        did.append(f"added the model {MODEL.model_name}")
        return added
    known = await model_store.named(transaction, backend.backend_id, MODEL.model_name)
    assert known is not None, "one of this name was in the way"
    return known
