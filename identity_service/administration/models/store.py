"""SQL of models.

A model that a component uses cannot be deleted. Assigning it to a component locks its row in share mode, so a
concurrent deletion waits and then sees the component.
"""

from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import bindparam, delete, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert

from chassis.database import Executor, Transaction, columns, statement
from identity_service.administration.models.types import ModelFields, ModelRow
from identity_service.tables import component_models, models

_MODEL = columns(ModelRow, models)
_THE_MODEL = models.c.model_id == bindparam("model_id")
_FIELDS: dict[str, Any] = {name: bindparam(name) for name in ModelFields._fields}

# Returns no row if the name is taken; unlike an error, this keeps the transaction usable.
ADD = statement(
    insert(models)
    .values(backend_id=bindparam("backend_id"), **_FIELDS)
    .on_conflict_do_nothing(index_elements=["backend_id", "model_name"])
    .returning(*_MODEL),
    ModelRow,
)
GET = statement(select(*_MODEL).where(_THE_MODEL), ModelRow)
GET_FOR_UPDATE = statement(select(*_MODEL).where(_THE_MODEL).with_for_update(), ModelRow)
LOCK_FOR_SHARE = statement(
    select(models.c.model_id).where(_THE_MODEL).with_for_update(read=True, key_share=True), str
)
GET_BY_NAME = statement(
    select(*_MODEL).where(
        models.c.backend_id == bindparam("backend_id"), models.c.model_name == bindparam("model_name")
    ),
    ModelRow,
)
LIST_AFTER = statement(
    select(*_MODEL)
    .where(models.c.model_id > bindparam("after"))
    .order_by(models.c.model_id)
    .limit(bindparam("limit")),
    ModelRow,
)
UPDATE = statement(
    update(models)
    .where(_THE_MODEL)
    .values(_FIELDS)
    .values(version=models.c.version + 1, updated_at=func.now())
    .returning(*_MODEL),
    ModelRow,
)
DELETE_UNUSED = statement(
    delete(models).where(_THE_MODEL, ~exists().where(component_models.c.model_id == models.c.model_id))
)


async def add(transaction: Transaction, backend_id: str, fields: ModelFields) -> ModelRow | None:
    """Inserts a model of a backend that the transaction has locked; returns None if the name is taken."""
    return await transaction.one(ADD, backend_id=backend_id, **fields._asdict())


async def get(executor: Executor, model_id: str) -> ModelRow | None:
    """Returns a model, or None."""
    return await executor.one(GET, model_id=model_id)


async def get_for_update(transaction: Transaction, model_id: str) -> ModelRow | None:
    """Returns a model, or None. Locks the row until the transaction ends."""
    return await transaction.one(GET_FOR_UPDATE, model_id=model_id)


async def lock_for_share(transaction: Transaction, model_id: str) -> bool:
    """Returns whether the model exists, and prevents its deletion until the transaction ends."""
    return await transaction.one(LOCK_FOR_SHARE, model_id=model_id) is not None


async def get_by_name(executor: Executor, backend_id: str, model_name: str) -> ModelRow | None:
    """Returns the model of a backend with this name, or None."""
    return await executor.one(GET_BY_NAME, backend_id=backend_id, model_name=model_name)


async def list_after(executor: Executor, model_id: UUID, limit: int) -> list[ModelRow]:
    """Returns models with an id above `model_id`, in the order of their creation."""
    return await executor.all(LIST_AFTER, after=model_id, limit=limit)


async def update_model(transaction: Transaction, model_id: str, fields: ModelFields) -> ModelRow | None:
    """Changes a model that the transaction has locked.

    Returns None if the name is taken. The transaction is then aborted.
    """
    try:
        return await transaction.one(UPDATE, model_id=model_id, **fields._asdict())
    except psycopg.errors.UniqueViolation:
        return None


async def delete_unused(transaction: Transaction, model_id: str) -> bool:
    """Deletes a model that the transaction has locked; returns False if a component uses it."""
    return await transaction.run(DELETE_UNUSED, model_id=model_id) == 1
