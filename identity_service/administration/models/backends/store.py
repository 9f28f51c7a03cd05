"""SQL of model backends.

A backend that has models cannot be deleted. Creating or restoring a model locks the row of its backend in share
mode, so a concurrent deletion waits and then sees the model.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import Interval, bindparam, delete, exists, func, null, select, update
from sqlalchemy.dialects.postgresql import insert

from chassis.database import Executor, Transaction, columns, statement
from identity_service.administration.models.backends.types import BackendFields, BackendRow
from identity_service.tables import model_backends, models

_BACKEND = columns(BackendRow, model_backends)
_THE_BACKEND = model_backends.c.backend_id == bindparam("backend_id")
_EXISTING = model_backends.c.deleted_at == null()
_FIELDS: dict[str, Any] = {name: bindparam(name) for name in BackendFields._fields}
_NEW_VERSION: dict[str, Any] = {"version": model_backends.c.version + 1, "updated_at": func.now()}
_LIST = (
    select(*_BACKEND)
    .where(model_backends.c.backend_id > bindparam("after"))
    .order_by(model_backends.c.backend_id)
    .limit(bindparam("limit"))
)

# Returns no row if the name is taken; unlike an error, this keeps the transaction usable.
ADD = statement(
    insert(model_backends)
    .values(_FIELDS)
    .on_conflict_do_nothing(index_elements=["name"], index_where=_EXISTING)
    .returning(*_BACKEND),
    BackendRow,
)
GET = statement(select(*_BACKEND).where(_THE_BACKEND, _EXISTING), BackendRow)
GET_FOR_UPDATE = statement(select(*_BACKEND).where(_THE_BACKEND).with_for_update(), BackendRow)
LOCK_FOR_SHARE = statement(
    select(model_backends.c.backend_id)
    .where(_THE_BACKEND, _EXISTING)
    .with_for_update(read=True, key_share=True),
    str,
)
GET_BY_NAME = statement(
    select(*_BACKEND).where(model_backends.c.name == bindparam("name"), _EXISTING), BackendRow
)
LIST_AFTER = statement(_LIST.where(_EXISTING), BackendRow)
LIST_AFTER_WITH_DELETED = statement(_LIST, BackendRow)
UPDATE = statement(
    update(model_backends).where(_THE_BACKEND).values(_FIELDS).values(_NEW_VERSION).returning(*_BACKEND),
    BackendRow,
)
MARK_DELETED_IF_UNUSED = statement(
    update(model_backends)
    .where(
        _THE_BACKEND,
        ~exists().where(models.c.backend_id == model_backends.c.backend_id, models.c.deleted_at == null()),
    )
    .values(_NEW_VERSION)
    .values(deleted_at=func.now(), deleted_by_user_id=bindparam("deleted_by_user_id"))
    .returning(*_BACKEND),
    BackendRow,
)
UNDELETE = statement(
    update(model_backends)
    .where(_THE_BACKEND)
    .values(_NEW_VERSION)
    .values(deleted_at=null(), deleted_by_user_id=null())
    .returning(*_BACKEND),
    BackendRow,
)
PURGE = statement(
    delete(model_backends)
    .where(
        model_backends.c.deleted_at < func.now() - bindparam("retention", type_=Interval),
        ~exists().where(models.c.backend_id == model_backends.c.backend_id),
    )
    .returning(model_backends.c.backend_id),
    str,
)


async def add(transaction: Transaction, fields: BackendFields) -> BackendRow | None:
    """Inserts a backend; returns None if the name is taken."""
    return await transaction.one(ADD, **fields._asdict())


async def get(executor: Executor, backend_id: str) -> BackendRow | None:
    """Returns a backend, or None if it is deleted or does not exist."""
    return await executor.one(GET, backend_id=backend_id)


async def get_for_update(transaction: Transaction, backend_id: str) -> BackendRow | None:
    """Returns a backend, deleted or not, or None. Locks the row until the transaction ends."""
    return await transaction.one(GET_FOR_UPDATE, backend_id=backend_id)


async def lock_for_share(transaction: Transaction, backend_id: str) -> bool:
    """Returns whether the backend exists and is not deleted, and prevents its deletion until the transaction ends."""
    return await transaction.one(LOCK_FOR_SHARE, backend_id=backend_id) is not None


async def get_by_name(executor: Executor, name: str) -> BackendRow | None:
    """Returns the backend with this name, or None."""
    return await executor.one(GET_BY_NAME, name=name)


async def list_after(
    executor: Executor, backend_id: UUID, limit: int, *, show_deleted: bool
) -> list[BackendRow]:
    """Returns backends with an id above `backend_id`, in the order of their creation."""
    query = LIST_AFTER_WITH_DELETED if show_deleted else LIST_AFTER
    return await executor.all(query, after=backend_id, limit=limit)


async def update_backend(
    transaction: Transaction, backend_id: str, fields: BackendFields
) -> BackendRow | None:
    """Changes a backend that the transaction has locked.

    Returns None if the name is taken. The transaction is then aborted.
    """
    try:
        return await transaction.one(UPDATE, backend_id=backend_id, **fields._asdict())
    except psycopg.errors.UniqueViolation:
        return None


async def mark_deleted_if_unused(
    transaction: Transaction, backend_id: str, by_user_id: str
) -> BackendRow | None:
    """Marks a backend as deleted that the transaction has locked; returns None if it has models."""
    return await transaction.one(MARK_DELETED_IF_UNUSED, backend_id=backend_id, deleted_by_user_id=by_user_id)


async def undelete(transaction: Transaction, backend_id: str) -> BackendRow | None:
    """Restores a deleted backend that the transaction has locked.

    Returns None if another backend has its name. The transaction is then aborted.
    """
    try:
        return await transaction.one(UNDELETE, backend_id=backend_id)
    except psycopg.errors.UniqueViolation:
        return None


async def purge(transaction: Transaction, retention: timedelta) -> list[str]:
    """Deletes the backends without models that were deleted more than `retention` ago, and returns their ids."""
    return await transaction.all(PURGE, retention=retention)
