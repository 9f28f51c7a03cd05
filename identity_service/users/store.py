"""SQL of people."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ScalarSelect, bindparam, func, insert, null, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from chassis.database import Executor, Transaction, statement
from identity_service.tables import LoginIdentifier, User


class UserRow(NamedTuple):
    """A person, with what they sign in with."""

    user_id: str
    display_name: str
    full_name: str
    nickname: str
    role: str
    rights_version: int
    version: int
    created_at: datetime
    updated_at: datetime
    login_name: str | None
    email: str | None
    phone: str | None


class NewUser(NamedTuple):
    """Who signs up."""

    display_name: str
    nickname: str
    role: str


class Identifier(NamedTuple):
    """What a person signs in with, as they write it and as it is compared."""

    kind: str
    value: str
    canonical: str


class Profile(NamedTuple):
    """What a person may change of themselves."""

    display_name: str
    full_name: str
    nickname: str


def _identifier(kind: str) -> ScalarSelect[str]:
    of_user = (LoginIdentifier.user_id == User.user_id, LoginIdentifier.kind == kind)
    return select(LoginIdentifier.value).where(*of_user).scalar_subquery()


_USER = (
    User.user_id,
    User.display_name,
    User.full_name,
    User.nickname,
    User.role,
    User.rights_version,
    User.version,
    User.created_at,
    User.updated_at,
    _identifier("LOGIN_NAME"),
    _identifier("EMAIL"),
    _identifier("PHONE"),
)
_THE_USER = (User.user_id == bindparam("user_id"), User.deleted_at == null())

GET = statement(select(*_USER).where(*_THE_USER), UserRow)
LOCKED = statement(select(*_USER).where(*_THE_USER).with_for_update(), UserRow)
LOCKED_OR_DELETED = statement(
    select(*_USER).where(User.user_id == bindparam("user_id")).with_for_update(), UserRow
)
# Whoever takes an administrator away waits for who takes one away before them.
LOCK_ADMINS = statement(select(func.pg_advisory_xact_lock(func.hashtext("administrators"))))
OTHER_ADMIN = statement(
    select(User.user_id)
    .where(
        User.role == "ADMIN",
        User.user_id != bindparam("user_id"),
        User.deleted_at == null(),
        User.deactivated_at == null(),
    )
    .limit(1),
    str,
)
ADD = statement(
    insert(User).values({name: bindparam(name) for name in NewUser._fields}).returning(User.user_id), str
)
# Silent where the value is somebody's already; the caller asks whether a row came back.
CLAIM_IDENTIFIER = statement(
    upsert(LoginIdentifier)
    .values({name: bindparam(name) for name in ("user_id", *Identifier._fields)})
    .on_conflict_do_nothing()
    .returning(LoginIdentifier.kind),
    str,
)
UPDATE_PROFILE = statement(
    update(User)
    .where(*_THE_USER)
    .values({name: bindparam(name) for name in Profile._fields})
    .values(version=User.version + 1, updated_at=func.now())
)


async def get(executor: Executor, user_id: str) -> UserRow | None:
    """A person, or None."""
    return await executor.one(GET, user_id=user_id)


async def locked(transaction: Transaction, user_id: str, *, deleted: bool = False) -> UserRow | None:
    """A person, or None; nobody else changes them until the transaction ends. `deleted` finds those, too."""
    return await transaction.one(LOCKED_OR_DELETED if deleted else LOCKED, user_id=user_id)


async def lock_admins(transaction: Transaction) -> None:
    """Keeps others from taking an administrator away until the transaction ends."""
    await transaction.run(LOCK_ADMINS)


async def has_other_admin(transaction: Transaction, user_id: str) -> bool:
    """Whether somebody else is an administrator who is let in."""
    return await transaction.one(OTHER_ADMIN, user_id=user_id) is not None


async def add(transaction: Transaction, user: NewUser) -> str:
    """Adds a person and returns their id."""
    user_id = await transaction.one(ADD, **user._asdict())
    assert user_id is not None
    return user_id


async def claim_identifier(transaction: Transaction, user_id: str, identifier: Identifier) -> bool:
    """Gives a login name, e-mail address or phone number to a person; False where it is taken."""
    claimed = await transaction.one(CLAIM_IDENTIFIER, user_id=user_id, **identifier._asdict())
    return claimed is not None


async def update_profile(transaction: Transaction, user_id: str, profile: Profile) -> None:
    """Replaces a person's profile."""
    await transaction.run(UPDATE_PROFILE, user_id=user_id, **profile._asdict())
