"""SQL of the configuration."""

from typing import Any

from psycopg.types.json import Jsonb
from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from chassis.database import Executor, Transaction, columns, statement
from identity_service.administration.config.types import ConfigRow
from identity_service.tables import app_config

_ROW = columns(ConfigRow, app_config)

# A table-wide lock, because an entry that has its default value has no row to lock.
LOCK = statement(select(func.pg_advisory_xact_lock(func.hashtext("app_config"))))
GET = statement(select(*_ROW).where(app_config.c.key == bindparam("key")), ConfigRow)
LIST_ALL = statement(select(*_ROW).order_by(app_config.c.key), ConfigRow)
_UPSERT = insert(app_config).values(
    {name: bindparam(name) for name in ("key", "value", "updated_by_user_id")}
)
UPSERT = statement(
    _UPSERT.on_conflict_do_update(
        index_elements=["key"],
        set_={
            "value": _UPSERT.excluded.value,
            "updated_by_user_id": _UPSERT.excluded.updated_by_user_id,
            "updated_at": func.now(),
            "version": app_config.c.version + 1,
        },
    ).returning(*_ROW),
    ConfigRow,
)
DELETE = statement(delete(app_config).where(app_config.c.key == bindparam("key")))


async def lock(transaction: Transaction) -> None:
    """Keeps other transactions from changing the configuration until this one ends."""
    await transaction.run(LOCK)


async def get(executor: Executor, key: str) -> ConfigRow | None:
    """Returns the value that an administrator has set, or None."""
    return await executor.one(GET, key=key)


async def list_all(executor: Executor) -> dict[str, ConfigRow]:
    """Returns all values that administrators have set, by key."""
    return {row.key: row for row in await executor.all(LIST_ALL)}


async def upsert(transaction: Transaction, key: str, value: Any, by_user_id: str) -> ConfigRow:
    """Sets a value."""
    row = await transaction.one(UPSERT, key=key, value=Jsonb(value), updated_by_user_id=by_user_id)
    assert row is not None
    return row


async def delete_value(transaction: Transaction, key: str) -> None:
    """Resets a value to its default."""
    await transaction.run(DELETE, key=key)
