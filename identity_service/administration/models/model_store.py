"""SQL of models.

A model that components use stays: who gives it to a component holds the model's row, and who deletes it waits.
"""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from sqlalchemy import bindparam, delete, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from chassis.database import Executor, Transaction, columns, statement
from identity_service.tables import ComponentModel, Model


class Asked(NamedTuple):
    """Which model of a backend, and how it is asked."""

    model_name: str
    temperature: float
    max_output: int


class ModelRow(NamedTuple):
    """A model of a backend."""

    model_id: str
    backend_id: str
    model_name: str
    temperature: float
    max_output: int
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def asked(self) -> Asked:
        """How it is asked."""
        return Asked(self.model_name, self.temperature, self.max_output)


_MODEL = columns(ModelRow, Model)
_THE_MODEL = Model.model_id == bindparam("model_id")
_ASKED: dict[str, Any] = {name: bindparam(name) for name in Asked._fields}

# Silent where the name is another's already; the caller asks whether a row came back.
ADD = statement(
    upsert(Model)
    .values(backend_id=bindparam("backend_id"), **_ASKED)
    .on_conflict_do_nothing(index_elements=["backend_id", "model_name"])
    .returning(*_MODEL),
    ModelRow,
)
GET = statement(select(*_MODEL).where(_THE_MODEL), ModelRow)
LOCKED = statement(select(*_MODEL).where(_THE_MODEL).with_for_update(), ModelRow)
HELD = statement(select(Model.model_id).where(_THE_MODEL).with_for_update(read=True, key_share=True), str)
NAMED = statement(
    select(*_MODEL).where(
        Model.backend_id == bindparam("backend_id"), Model.model_name == bindparam("model_name")
    ),
    ModelRow,
)
AFTER = statement(
    select(*_MODEL)
    .where(Model.model_id > bindparam("after"))
    .order_by(Model.model_id)
    .limit(bindparam("limit")),
    ModelRow,
)
UPDATE = statement(
    update(Model)
    .where(_THE_MODEL)
    .values(_ASKED)
    .values(version=Model.version + 1, updated_at=func.now())
    .returning(*_MODEL),
    ModelRow,
)
DELETE = statement(
    delete(Model).where(_THE_MODEL, ~exists().where(ComponentModel.model_id == Model.model_id))
)


async def add(transaction: Transaction, backend_id: str, asked: Asked) -> ModelRow | None:
    """Adds a model to a backend that is held; None where another there has its name."""
    return await transaction.one(ADD, backend_id=backend_id, **asked._asdict())


async def get(executor: Executor, model_id: str) -> ModelRow | None:
    """A model, or None."""
    return await executor.one(GET, model_id=model_id)


async def locked(transaction: Transaction, model_id: str) -> ModelRow | None:
    """A model, or None; nobody changes it or gives it to a component until the transaction ends."""
    return await transaction.one(LOCKED, model_id=model_id)


async def held(transaction: Transaction, model_id: str) -> bool:
    """Whether there is such a model; it is not deleted until the transaction ends."""
    return await transaction.one(HELD, model_id=model_id) is not None


async def named(executor: Executor, backend_id: str, model_name: str) -> ModelRow | None:
    """The model of a name at a backend, or None."""
    return await executor.one(NAMED, backend_id=backend_id, model_name=model_name)


async def after(executor: Executor, model_id: UUID, limit: int) -> list[ModelRow]:
    """The models that were added after one."""
    return await executor.all(AFTER, after=model_id, limit=limit)


async def change(transaction: Transaction, model_id: str, asked: Asked) -> ModelRow | None:
    """Changes a model that is locked; None, and the transaction is over, where another has its name."""
    try:
        return await transaction.one(UPDATE, model_id=model_id, **asked._asdict())
    except psycopg.errors.UniqueViolation:
        return None


async def remove(transaction: Transaction, model_id: str) -> bool:
    """Deletes a model that is locked; False where components use it."""
    return await transaction.run(DELETE, model_id=model_id) == 1
