"""SQL of component models."""

from typing import Any

from sqlalchemy import bindparam, func, select
from sqlalchemy.dialects.postgresql import insert

from chassis.database import Executor, Transaction, columns, statement
from identity_service.administration.models.components.types import ComponentRow, ResolvedRow
from identity_service.tables import ComponentModel, Model, ModelBackend

_COMPONENT = columns(ComponentRow, ComponentModel)
_UPSERT = insert(ComponentModel).values(
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
        ModelBackend.provider,
        ModelBackend.base_url,
        ModelBackend.key_reference,
        Model.model_name,
        Model.temperature,
        Model.max_output_tokens,
    )
    .join(Model, Model.backend_id == ModelBackend.backend_id)
    .join(ComponentModel, ComponentModel.model_id == Model.model_id)
    .where(ComponentModel.component == bindparam("component"), ModelBackend.enabled),
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
