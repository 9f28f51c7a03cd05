"""SQL of component models."""

from typing import Any

from sqlalchemy import bindparam, func, select
from sqlalchemy.dialects.postgresql import insert

from chassis.database import Executor, Transaction, columns, statement
from identity_service.administration.models.components.types import ComponentRow, ResolvedRow
from identity_service.tables import component_models, model_backends, models

_COMPONENT = columns(ComponentRow, component_models)
_UPSERT = insert(component_models).values(
    {name: bindparam(name) for name in ("component", "model_id", "updated_by_user_id")}
)
_CHANGES: dict[str, Any] = {
    "model_id": _UPSERT.excluded.model_id,
    "updated_by_user_id": _UPSERT.excluded.updated_by_user_id,
    "updated_at": func.now(),
}

LIST_ALL = statement(select(*_COMPONENT), ComponentRow)
UPSERT = statement(
    _UPSERT.on_conflict_do_update(index_elements=["component"], set_=_CHANGES).returning(*_COMPONENT),
    ComponentRow,
)
RESOLVE = statement(
    select(
        model_backends.c.provider,
        model_backends.c.base_url,
        model_backends.c.key_reference,
        models.c.model_name,
        models.c.temperature,
        models.c.max_output_tokens,
    )
    .join(models, models.c.backend_id == model_backends.c.backend_id)
    .join(component_models, component_models.c.model_id == models.c.model_id)
    .where(component_models.c.component == bindparam("component"), model_backends.c.enabled),
    ResolvedRow,
)


async def list_all(executor: Executor) -> list[ComponentRow]:
    """Returns all components that have a model."""
    return await executor.all(LIST_ALL)


async def upsert(
    transaction: Transaction, component: str, model_id: str, by_user_id: str | None
) -> ComponentRow:
    """Sets the model of a component. The transaction has locked the model."""
    row = await transaction.one(UPSERT, component=component, model_id=model_id, updated_by_user_id=by_user_id)
    assert row is not None
    return row


async def resolve(executor: Executor, component: str) -> ResolvedRow | None:
    """Returns the model of a component; None if it has none, or if the backend is disabled."""
    return await executor.one(RESOLVE, component=component)
