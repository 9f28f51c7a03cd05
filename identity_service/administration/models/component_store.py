"""SQL of which component uses which model."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import bindparam, func, select
from sqlalchemy.dialects.postgresql import insert as upsert

from chassis.database import Executor, Transaction, columns, statement
from identity_service.tables import ComponentModel, Model, ModelBackend


class ComponentRow(NamedTuple):
    """Which model a component uses."""

    component: str
    model_id: str
    updated_at: datetime
    updated_by_user_id: str | None


class ResolvedRow(NamedTuple):
    """A model and how to reach it."""

    provider: str
    base_url: str
    key_reference: str
    model_name: str
    temperature: float
    max_output: int


_COMPONENT = columns(ComponentRow, ComponentModel)
_SET = upsert(ComponentModel).values(
    {name: bindparam(name) for name in ("component", "model_id", "updated_by_user_id")}
)
_NEWER: dict[str, Any] = {
    "model_id": _SET.excluded.model_id,
    "updated_by_user_id": _SET.excluded.updated_by_user_id,
    "updated_at": func.now(),
}

ALL = statement(select(*_COMPONENT), ComponentRow)
SET = statement(
    _SET.on_conflict_do_update(index_elements=["component"], set_=_NEWER).returning(*_COMPONENT), ComponentRow
)
RESOLVE = statement(
    select(
        ModelBackend.provider,
        ModelBackend.base_url,
        ModelBackend.key_reference,
        Model.model_name,
        Model.temperature,
        Model.max_output,
    )
    .join(Model, Model.backend_id == ModelBackend.backend_id)
    .join(ComponentModel, ComponentModel.model_id == Model.model_id)
    .where(ComponentModel.component == bindparam("component"), ModelBackend.enabled),
    ResolvedRow,
)


async def every(executor: Executor) -> list[ComponentRow]:
    """Every component that has a model."""
    return await executor.all(ALL)


async def put(
    transaction: Transaction, component: str, model_id: str, by_user_id: str | None
) -> ComponentRow:
    """Gives a component a model that is held."""
    row = await transaction.one(SET, component=component, model_id=model_id, updated_by_user_id=by_user_id)
    assert row is not None
    return row


async def resolve(executor: Executor, component: str) -> ResolvedRow | None:
    """The model of a component; None where it has none, or its backend is switched off."""
    return await executor.one(RESOLVE, component=component)
