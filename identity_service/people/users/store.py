"""SQL of people."""

from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Boolean, any_, bindparam, func, insert, null, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from chassis.database import Executor, Transaction, columns, statement
from identity_service.tables import (
    Credential,
    LoginIdentifier,
    SignUpRequest,
    User,
    UserIdentity,
    UserSettings,
)

_NONE = ("", False)


class UserRow(NamedTuple):
    """A person, with what they sign in with and the time zone of their settings."""

    user_id: str
    display_name: str
    full_name: str
    nickname: str
    age: int | None
    grade: int | None
    board: str
    school_name: str
    about_me: str
    onboarding_complete: bool
    role: str
    guest: bool
    rights_version: int
    xp: int
    level: int
    streak: int
    streak_day: date | None
    streak_zone: str | None
    last_active_at: datetime
    last_sign_in_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime
    deactivated_at: datetime | None
    deleted_at: datetime | None
    identifiers: dict[str, list[Any]] | None
    """By their kinds, each with whether it was proven."""
    identity_issuers: list[str]
    time_zone: str | None

    def identifier(self, kind: str) -> str:
        """What the person signs in with, of this kind; empty where there is none."""
        value, _ = (self.identifiers or {}).get(kind, _NONE)
        return str(value)

    def has_proven(self, kind: str) -> bool:
        """Whether the person has shown that an address is theirs."""
        _, proven = (self.identifiers or {}).get(kind, _NONE)
        return bool(proven)


class Heir(NamedTuple):
    """Whose something is that was meant for a person, or for the guest that they were."""

    user_id: str
    xp: int


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
    age: int | None
    grade: int | None
    board: str
    school_name: str
    about_me: str


class NameRow(NamedTuple):
    """What a person is called."""

    user_id: str
    display_name: str
    nickname: str


_OWN = [getattr(User, name) for name in UserRow._fields if hasattr(User, name)]
# As one value: a join, or a question for each kind, takes the database two to three times as long.
_IDENTIFIERS = (
    select(
        func.jsonb_object_agg(
            LoginIdentifier.kind,
            func.jsonb_build_array(LoginIdentifier.value, LoginIdentifier.proven_at != null()),
        )
    )
    .where(LoginIdentifier.user_id == User.user_id)
    .scalar_subquery()
)
_ISSUERS = (
    select(UserIdentity.issuer)
    .distinct()
    .where(UserIdentity.user_id == User.user_id)
    .order_by(UserIdentity.issuer)
    .scalar_subquery()
)
_ZONE = select(UserSettings.time_zone).where(UserSettings.user_id == User.user_id).scalar_subquery()

USERS = (
    select(*_OWN, _IDENTIFIERS, func.array(_ISSUERS), _ZONE)
    # Of a guest who turned out to be somebody else there is nothing to see.
    .where(User.merged_into_user_id == null())
)
"""What a UserRow is read by, for whoever adds which people."""

_SHOWN = or_(bindparam("show_deleted", type_=Boolean), User.deleted_at == null())
_THE_USER = User.user_id == bindparam("user_id")
_LISTED = (
    USERS.where(_SHOWN, User.user_id > bindparam("after_id")).order_by(User.user_id).limit(bindparam("limit"))
)
_OF_ROLE = _LISTED.where(User.role == bindparam("role"))

GET = statement(USERS.where(_THE_USER, User.deleted_at == null()), UserRow)
GET_OR_DELETED = statement(USERS.where(_THE_USER), UserRow)
LOCKED = statement(USERS.where(_THE_USER, User.deleted_at == null()).with_for_update(), UserRow)
LOCKED_OR_DELETED = statement(USERS.where(_THE_USER).with_for_update(), UserRow)
LOCKED_HEIR = statement(
    select(*columns(Heir, User)).where(_THE_USER, User.deleted_at == null()).with_for_update(), Heir
)
MERGED_INTO = statement(select(User.merged_into_user_id).where(_THE_USER), str)
ALL = statement(_LISTED, UserRow)
OF_ROLE = statement(_OF_ROLE, UserRow)
BY_IDENTIFIER = statement(
    select(LoginIdentifier.user_id).where(LoginIdentifier.canonical == bindparam("canonical")), str
)
NAMES = statement(
    select(*columns(NameRow, User)).where(
        User.user_id == any_(bindparam("user_ids", type_=ARRAY(User.user_id.type))), User.deleted_at == null()
    ),
    NameRow,
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
CLAIM_SIGN_UP_REQUEST = statement(
    upsert(SignUpRequest)
    .values(request_id=bindparam("request_id"), user_id=bindparam("user_id"))
    .on_conflict_do_nothing()
    .returning(SignUpRequest.user_id),
    str,
)
ADD_PASSWORD = statement(
    insert(Credential).values(user_id=bindparam("user_id"), password_hash=bindparam("password_hash"))
)
UPDATE_PROFILE = statement(
    update(User)
    .where(_THE_USER, User.deleted_at == null())
    .values({name: bindparam(name) for name in Profile._fields})
    .values(version=User.version + 1, updated_at=func.now())
)


async def get(executor: Executor, user_id: str, *, deleted: bool = False) -> UserRow | None:
    """A person, or None. `deleted` finds those, too."""
    return await executor.one(GET_OR_DELETED if deleted else GET, user_id=user_id)


async def locked(transaction: Transaction, user_id: str, *, deleted: bool = False) -> UserRow | None:
    """A person, or None; nobody else changes them until the transaction ends. `deleted` finds those, too."""
    return await transaction.one(LOCKED_OR_DELETED if deleted else LOCKED, user_id=user_id)


async def locked_heir(transaction: Transaction, user_id: str) -> Heir | None:
    """A person, or who a guest turned out to be, locked; None where they are no more."""
    heir = await transaction.one(LOCKED_HEIR, user_id=user_id)
    if heir is None and (merged_into := await transaction.one(MERGED_INTO, user_id=user_id)):
        heir = await transaction.one(LOCKED_HEIR, user_id=merged_into)
    return heir


async def page(
    executor: Executor, role: str | None, after_id: UUID, limit: int, *, deleted: bool
) -> list[UserRow]:
    """The people after an id, of one role or of any, in the order in which they came."""
    asked = {"after_id": after_id, "limit": limit, "show_deleted": deleted}
    if role is None:
        return await executor.all(ALL, **asked)
    return await executor.all(OF_ROLE, role=role, **asked)


async def by_identifier(executor: Executor, canonical: str) -> str | None:
    """The id of who has a login name, e-mail address or phone number, or None."""
    return await executor.one(BY_IDENTIFIER, canonical=canonical)


async def names(executor: Executor, user_ids: list[str]) -> list[NameRow]:
    """What these people are called, of those who are there."""
    return await executor.all(NAMES, user_ids=user_ids)


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


async def claim_sign_up_request(transaction: Transaction, request_id: str, user_id: str) -> bool:
    """Binds a sign-up request to the user that it creates; returns False if it already created one."""
    claimed = await transaction.one(CLAIM_SIGN_UP_REQUEST, request_id=request_id, user_id=user_id)
    return claimed is not None


async def add_password(transaction: Transaction, user_id: str, password_hash: str) -> None:
    """Stores the password hash of a new user."""
    await transaction.run(ADD_PASSWORD, user_id=user_id, password_hash=password_hash)


async def update_profile(transaction: Transaction, user_id: str, profile: Profile) -> None:
    """Replaces a person's profile."""
    await transaction.run(UPDATE_PROFILE, user_id=user_id, **profile._asdict())
