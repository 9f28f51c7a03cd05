"""SQL of the configuration."""

from datetime import datetime
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb
from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import insert as upsert

from chassis.database import Executor, Transaction, columns, statement
from identity_service.tables import AppConfig


class ConfigRow(NamedTuple):
    """A value that differs from its default."""

    key: str
    value: Any
    version: int
    updated_at: datetime
    updated_by_user_id: str | None


_ROW = columns(ConfigRow, AppConfig)

# Whoever sets waits for who sets before them, also where there is no row to wait for.
LOCK = statement(select(func.pg_advisory_xact_lock(func.hashtext("app_config"))))
GET = statement(select(*_ROW).where(AppConfig.key == bindparam("key")), ConfigRow)
ALL = statement(select(*_ROW).order_by(AppConfig.key), ConfigRow)
_SET = upsert(AppConfig).values({name: bindparam(name) for name in ("key", "value", "updated_by_user_id")})
SET = statement(
    _SET.on_conflict_do_update(
        index_elements=["key"],
        set_={
            "value": _SET.excluded.value,
            "updated_by_user_id": _SET.excluded.updated_by_user_id,
            "updated_at": func.now(),
            "version": AppConfig.version + 1,
        },
    ).returning(*_ROW),
    ConfigRow,
)
RESET = statement(delete(AppConfig).where(AppConfig.key == bindparam("key")))


async def lock(transaction: Transaction) -> None:
    """Keeps others from setting anything until the transaction ends."""
    await transaction.run(LOCK)


async def get(executor: Executor, key: str) -> ConfigRow | None:
    """What was set, or None."""
    return await executor.one(GET, key=key)


async def every(executor: Executor) -> dict[str, ConfigRow]:
    """Everything that was set, by its key."""
    return {row.key: row for row in await executor.all(ALL)}


async def put(transaction: Transaction, key: str, value: Any, by_user_id: str) -> ConfigRow:
    """Sets a value."""
    row = await transaction.one(SET, key=key, value=Jsonb(value), updated_by_user_id=by_user_id)
    assert row is not None
    return row


async def reset(transaction: Transaction, key: str) -> None:
    """Takes a value back to its default."""
    await transaction.run(RESET, key=key)
