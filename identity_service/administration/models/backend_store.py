"""SQL of model backends.

A backend that models are at stays: who adds a model holds the backend's row, and who deletes it waits.
"""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from sqlalchemy import bindparam, delete, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from chassis.database import Executor, Transaction, columns, statement
from identity_service.tables import Model, ModelBackend


class Backend(NamedTuple):
    """What an administrator says of a backend."""

    name: str
    provider: str
    base_url: str = ""
    key_reference: str = ""
    enabled: bool = True


class BackendRow(NamedTuple):
    """A backend."""

    backend_id: str
    name: str
    provider: str
    base_url: str
    key_reference: str
    enabled: bool
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def said(self) -> Backend:
        """What an administrator said of it."""
        return Backend(self.name, self.provider, self.base_url, self.key_reference, self.enabled)


_BACKEND = columns(BackendRow, ModelBackend)
_THE_BACKEND = ModelBackend.backend_id == bindparam("backend_id")
_SAID: dict[str, Any] = {name: bindparam(name) for name in Backend._fields}

# Silent where the name is another's already; the caller asks whether a row came back.
ADD = statement(
    upsert(ModelBackend).values(_SAID).on_conflict_do_nothing(index_elements=["name"]).returning(*_BACKEND),
    BackendRow,
)
GET = statement(select(*_BACKEND).where(_THE_BACKEND), BackendRow)
LOCKED = statement(select(*_BACKEND).where(_THE_BACKEND).with_for_update(), BackendRow)
HELD = statement(
    select(ModelBackend.backend_id).where(_THE_BACKEND).with_for_update(read=True, key_share=True), str
)
NAMED = statement(select(*_BACKEND).where(ModelBackend.name == bindparam("name")), BackendRow)
AFTER = statement(
    select(*_BACKEND)
    .where(ModelBackend.backend_id > bindparam("after"))
    .order_by(ModelBackend.backend_id)
    .limit(bindparam("limit")),
    BackendRow,
)
UPDATE = statement(
    update(ModelBackend)
    .where(_THE_BACKEND)
    .values(_SAID)
    .values(version=ModelBackend.version + 1, updated_at=func.now())
    .returning(*_BACKEND),
    BackendRow,
)
DELETE = statement(
    delete(ModelBackend).where(_THE_BACKEND, ~exists().where(Model.backend_id == ModelBackend.backend_id))
)


async def add(transaction: Transaction, backend: Backend) -> BackendRow | None:
    """Adds a backend; None where another has its name."""
    return await transaction.one(ADD, **backend._asdict())


async def get(executor: Executor, backend_id: str) -> BackendRow | None:
    """A backend, or None."""
    return await executor.one(GET, backend_id=backend_id)


async def locked(transaction: Transaction, backend_id: str) -> BackendRow | None:
    """A backend, or None; nobody changes it or adds a model to it until the transaction ends."""
    return await transaction.one(LOCKED, backend_id=backend_id)


async def held(transaction: Transaction, backend_id: str) -> bool:
    """Whether there is such a backend; it is not deleted until the transaction ends."""
    return await transaction.one(HELD, backend_id=backend_id) is not None


async def named(executor: Executor, name: str) -> BackendRow | None:
    """The backend of a name, or None."""
    return await executor.one(NAMED, name=name)


async def after(executor: Executor, backend_id: UUID, limit: int) -> list[BackendRow]:
    """The backends that were added after one."""
    return await executor.all(AFTER, after=backend_id, limit=limit)


async def change(transaction: Transaction, backend_id: str, backend: Backend) -> BackendRow | None:
    """Changes a backend that is locked; None, and the transaction is over, where another has its name."""
    try:
        return await transaction.one(UPDATE, backend_id=backend_id, **backend._asdict())
    except psycopg.errors.UniqueViolation:
        return None


async def remove(transaction: Transaction, backend_id: str) -> bool:
    """Deletes a backend that is locked; False where models are at it."""
    return await transaction.run(DELETE, backend_id=backend_id) == 1
