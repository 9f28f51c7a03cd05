"""SQL of models.

A model that a component uses cannot be deleted. Assigning it to a component locks its row in share mode, so a
concurrent deletion waits and then sees the component.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import Interval, bindparam, delete, exists, func, null, select, update
from sqlalchemy.dialects.postgresql import insert

from chassis.database import Executor, Transaction, columns, statement
from identity_service.administration.models.types import ModelFields, ModelRow
from identity_service.tables import component_models, models

_MODEL = columns(ModelRow, models)
_THE_MODEL = models.c.model_id == bindparam("model_id")
_EXISTING = models.c.deleted_at == null()
_FIELDS: dict[str, Any] = {name: bindparam(name) for name in ModelFields._fields}
_NEW_VERSION: dict[str, Any] = {"version": models.c.version + 1, "updated_at": func.now()}
_LIST = (
    select(*_MODEL)
    .where(models.c.model_id > bindparam("after"))
    .order_by(models.c.model_id)
    .limit(bindparam("limit"))
)

# Returns no row if the name is taken; unlike an error, this keeps the transaction usable.
ADD = statement(
    insert(models)
    .values(backend_id=bindparam("backend_id"), **_FIELDS)
    .on_conflict_do_nothing(index_elements=["backend_id", "model_name"], index_where=_EXISTING)
    .returning(*_MODEL),
    ModelRow,
)
GET = statement(select(*_MODEL).where(_THE_MODEL, _EXISTING), ModelRow)
GET_FOR_UPDATE = statement(select(*_MODEL).where(_THE_MODEL).with_for_update(), ModelRow)
LOCK_FOR_SHARE = statement(
    select(models.c.model_id).where(_THE_MODEL, _EXISTING).with_for_update(read=True, key_share=True), str
)
GET_BY_NAME = statement(
    select(*_MODEL).where(
        models.c.backend_id == bindparam("backend_id"),
        models.c.model_name == bindparam("model_name"),
        _EXISTING,
    ),
    ModelRow,
)
LIST_AFTER = statement(_LIST.where(_EXISTING), ModelRow)
LIST_AFTER_WITH_DELETED = statement(_LIST, ModelRow)
UPDATE = statement(
    update(models).where(_THE_MODEL).values(_FIELDS).values(_NEW_VERSION).returning(*_MODEL),
    ModelRow,
)
MARK_DELETED_IF_UNUSED = statement(
    update(models)
    .where(_THE_MODEL, ~exists().where(component_models.c.model_id == models.c.model_id))
    .values(_NEW_VERSION)
    .values(deleted_at=func.now(), deleted_by_user_id=bindparam("deleted_by_user_id"))
    .returning(*_MODEL),
    ModelRow,
)
UNDELETE = statement(
    update(models)
    .where(_THE_MODEL)
    .values(_NEW_VERSION)
    .values(deleted_at=null(), deleted_by_user_id=null())
    .returning(*_MODEL),
    ModelRow,
)
PURGE = statement(
    delete(models)
    .where(
        models.c.deleted_at < func.now() - bindparam("retention", type_=Interval),
    )
    .returning(models.c.model_id),
    str,
)


async def add(transaction: Transaction, backend_id: str, fields: ModelFields) -> ModelRow | None:
    """Inserts a model of a backend that the transaction has locked; returns None if the name is taken."""
    return await transaction.one(ADD, backend_id=backend_id, **fields._asdict())


async def get(executor: Executor, model_id: str) -> ModelRow | None:
    """Returns a model, or None if it is deleted or does not exist."""
    return await executor.one(GET, model_id=model_id)


async def get_for_update(transaction: Transaction, model_id: str) -> ModelRow | None:
    """Returns a model, deleted or not, or None. Locks the row until the transaction ends."""
    return await transaction.one(GET_FOR_UPDATE, model_id=model_id)


async def lock_for_share(transaction: Transaction, model_id: str) -> bool:
    """Returns whether the model exists and is not deleted, and prevents its deletion until the transaction ends."""
    return await transaction.one(LOCK_FOR_SHARE, model_id=model_id) is not None


async def get_by_name(executor: Executor, backend_id: str, model_name: str) -> ModelRow | None:
    """Returns the model of a backend with this name, or None."""
    return await executor.one(GET_BY_NAME, backend_id=backend_id, model_name=model_name)


async def list_after(executor: Executor, model_id: UUID, limit: int, *, show_deleted: bool) -> list[ModelRow]:
    """Returns models with an id above `model_id`, in the order of their creation."""
    query = LIST_AFTER_WITH_DELETED if show_deleted else LIST_AFTER
    return await executor.all(query, after=model_id, limit=limit)


async def update_model(transaction: Transaction, model_id: str, fields: ModelFields) -> ModelRow | None:
    """Changes a model that the transaction has locked.

    Returns None if the name is taken. The transaction is then aborted.
    """
    try:
        return await transaction.one(UPDATE, model_id=model_id, **fields._asdict())
    except psycopg.errors.UniqueViolation:
        return None


async def mark_deleted_if_unused(transaction: Transaction, model_id: str, by_user_id: str) -> ModelRow | None:
    """Marks a model as deleted that the transaction has locked; returns None if a component uses it."""
    return await transaction.one(MARK_DELETED_IF_UNUSED, model_id=model_id, deleted_by_user_id=by_user_id)


async def undelete(transaction: Transaction, model_id: str) -> ModelRow | None:
    """Restores a deleted model that the transaction has locked.

    Returns None if another model of the backend has its name. The transaction is then aborted.
    """
    try:
        return await transaction.one(UNDELETE, model_id=model_id)
    except psycopg.errors.UniqueViolation:
        return None


async def purge(transaction: Transaction, retention: timedelta) -> list[str]:
    """Deletes the models that were deleted more than `retention` ago, and returns their ids."""
    return await transaction.all(PURGE, retention=retention)
