"""SQL of preferences."""

from sqlalchemy import bindparam, func, null, select
from sqlalchemy.dialects.postgresql import insert

from chassis.database import Executor, Transaction, columns, statement
from identity_service.people.preferences.types import Preferences, PreferencesRow
from identity_service.tables import user_settings, users

_COLUMNS = [user_settings.c[name] for name in PreferencesRow._fields[1:]]
_THE_USER = (users.c.user_id == bindparam("user_id"), users.c.deleted_at == null())

GET = statement(
    select(users.c.user_id, *_COLUMNS)
    .outerjoin(user_settings, user_settings.c.user_id == users.c.user_id)
    .where(*_THE_USER),
    PreferencesRow,
)
# Locks the user, because there may be no row of settings to lock.
LOCK_USER = statement(select(users.c.user_id).where(*_THE_USER).with_for_update(), str)
_UPSERT = insert(user_settings).values({name: bindparam(name) for name in ("user_id", *Preferences._fields)})
UPSERT = statement(
    _UPSERT.on_conflict_do_update(
        index_elements=["user_id"],
        set_={
            **{name: _UPSERT.excluded[name] for name in Preferences._fields},
            "version": user_settings.c.version + 1,
            "updated_at": func.now(),
        },
    ).returning(*columns(PreferencesRow, user_settings)),
    PreferencesRow,
)


async def get(executor: Executor, user_id: str) -> PreferencesRow | None:
    """Returns the preferences of a user, or None if the user does not exist."""
    return await executor.one(GET, user_id=user_id)


async def get_for_update(transaction: Transaction, user_id: str) -> PreferencesRow | None:
    """Returns the preferences of a user, or None. Locks the user until the transaction ends."""
    if await transaction.one(LOCK_USER, user_id=user_id) is None:
        return None
    return await get(transaction, user_id)


async def upsert(transaction: Transaction, user_id: str, preferences: Preferences) -> PreferencesRow:
    """Replaces the preferences of a user and returns them."""
    row = await transaction.one(UPSERT, user_id=user_id, **preferences._asdict())
    assert row is not None
    return row
