"""SQL of people's settings."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import bindparam, func, null, select
from sqlalchemy.dialects.postgresql import insert as upsert

from chassis.database import Executor, Transaction, columns, statement
from identity_service.tables import User, UserSettings


class Settings(NamedTuple):
    """What a person chooses."""

    app_theme: str
    prefers_assistive_learning: bool
    notifications: dict[str, Any]
    time_zone: str
    keep_practice_history: bool


class SettingsRow(NamedTuple):
    """A person's settings; all but the person is None where they never changed any."""

    user_id: str
    app_theme: str | None
    prefers_assistive_learning: bool | None
    notifications: dict[str, Any] | None
    time_zone: str | None
    keep_practice_history: bool | None
    version: int | None
    updated_at: datetime | None


_CHOSEN = [getattr(UserSettings, name) for name in SettingsRow._fields[1:]]
_THE_USER = (User.user_id == bindparam("user_id"), User.deleted_at == null())

GET = statement(
    select(User.user_id, *_CHOSEN)
    .outerjoin(UserSettings, UserSettings.user_id == User.user_id)
    .where(*_THE_USER),
    SettingsRow,
)
# Also where there are no settings to lock.
LOCK = statement(select(User.user_id).where(*_THE_USER).with_for_update(), str)
_PUT = upsert(UserSettings).values({name: bindparam(name) for name in ("user_id", *Settings._fields)})
PUT = statement(
    _PUT.on_conflict_do_update(
        index_elements=["user_id"],
        set_={
            **{name: _PUT.excluded[name] for name in Settings._fields},
            "version": UserSettings.version + 1,
            "updated_at": func.now(),
        },
    ).returning(*columns(SettingsRow, UserSettings)),
    SettingsRow,
)


async def get(executor: Executor, user_id: str) -> SettingsRow | None:
    """A person's settings, or None where there is no such person."""
    return await executor.one(GET, user_id=user_id)


async def locked(transaction: Transaction, user_id: str) -> SettingsRow | None:
    """The same; nobody else changes them until the transaction ends."""
    if await transaction.one(LOCK, user_id=user_id) is None:
        return None
    return await get(transaction, user_id)


async def put(transaction: Transaction, user_id: str, settings: Settings) -> SettingsRow:
    """Replaces a person's settings."""
    row = await transaction.one(PUT, user_id=user_id, **settings._asdict())
    assert row is not None
    return row
