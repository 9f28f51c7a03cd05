"""SQL of password hashes."""

from sqlalchemy import bindparam, delete, func, null, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from chassis.database import Executor, Transaction, columns, statement
from identity_service.sign_in.passwords.types import CredentialRow, PasswordChange
from identity_service.tables import credentials, login_identifiers, users

_OF_USER = credentials.c.user_id == bindparam("user_id")
_UPSERT = upsert(credentials).values(user_id=bindparam("user_id"), password_hash=bindparam("password_hash"))

GET = statement(select(credentials.c.password_hash).where(_OF_USER), str)
GET_CHANGE = statement(select(*columns(PasswordChange, credentials)).where(_OF_USER), PasswordChange)
GET_BY_IDENTIFIER = statement(
    select(*columns(CredentialRow, credentials))
    .join(login_identifiers, login_identifiers.c.user_id == credentials.c.user_id)
    .join(users, users.c.user_id == credentials.c.user_id)
    .where(login_identifiers.c.canonical == bindparam("canonical"), users.c.deleted_at == null()),
    CredentialRow,
)
ADD = statement(_UPSERT.on_conflict_do_nothing().returning(credentials.c.user_id), str)
SET = statement(
    _UPSERT.on_conflict_do_update(
        index_elements=["user_id"],
        set_={
            "password_hash": _UPSERT.excluded.password_hash,
            "change_hash": null(),
            "updated_at": func.now(),
        },
    )
)
_REPLACE = (
    update(credentials)
    .where(_OF_USER, credentials.c.password_hash == bindparam("old_hash"))
    .values(password_hash=bindparam("new_hash"), updated_at=func.now())
)
REPLACE = statement(_REPLACE)
CHANGE = statement(_REPLACE.values(change_hash=bindparam("change_hash")))
DELETE = statement(delete(credentials).where(_OF_USER))


async def get(executor: Executor, user_id: str) -> str | None:
    """Returns the password hash of a user, or None."""
    return await executor.one(GET, user_id=user_id)


async def get_by_identifier(executor: Executor, canonical: str) -> CredentialRow | None:
    """Returns the user of a login identifier with their password hash, or None."""
    return await executor.one(GET_BY_IDENTIFIER, canonical=canonical)


async def add(transaction: Transaction, user_id: str, password_hash: str) -> bool:
    """Adds the first password of a user; returns False if the user already has one."""
    return await transaction.one(ADD, user_id=user_id, password_hash=password_hash) is not None


async def set_hash(transaction: Transaction, user_id: str, password_hash: str) -> None:
    """Adds or replaces the password of a user."""
    await transaction.run(SET, user_id=user_id, password_hash=password_hash)


async def get_change(executor: Executor, user_id: str) -> PasswordChange | None:
    """Returns the password hash of a user with that of the last change, or None."""
    return await executor.one(GET_CHANGE, user_id=user_id)


async def replace(transaction: Transaction, user_id: str, old_hash: str, new_hash: str) -> bool:
    """Replaces a hash by another one of the same password; returns False if it is no longer `old_hash`."""
    return await transaction.run(REPLACE, user_id=user_id, old_hash=old_hash, new_hash=new_hash) > 0


async def change(transaction: Transaction, user_id: str, old_hash: str, changed: PasswordChange) -> bool:
    """Replaces a password; returns False if the stored hash is no longer `old_hash`."""
    parameters = {"new_hash": changed.password_hash, "change_hash": changed.change_hash}
    return await transaction.run(CHANGE, user_id=user_id, old_hash=old_hash, **parameters) > 0


async def delete_hash(transaction: Transaction, user_id: str) -> None:
    """Deletes the password of a user."""
    await transaction.run(DELETE, user_id=user_id)
