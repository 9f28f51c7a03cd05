"""SQL of users."""

from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Boolean,
    any_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from chassis.database import Executor, Transaction, columns, statement
from identity_service.people.users.types import ClaimRow, Identifier, NameRow, NewUser, Profile, UserRow
from identity_service.tables import (
    credentials,
    login_identifiers,
    sign_up_requests,
    user_identities,
    user_settings,
    users,
)

_COLUMNS = [users.c[name] for name in UserRow._fields if name in users.c]
# One JSON value: a join, or one subquery for each kind, takes PostgreSQL two to three times as long.
_IDENTIFIERS = (
    select(
        func.jsonb_object_agg(
            login_identifiers.c.kind,
            func.jsonb_build_array(login_identifiers.c.value, login_identifiers.c.verified_at != null()),
        )
    )
    .where(login_identifiers.c.user_id == users.c.user_id)
    .scalar_subquery()
)
_ISSUERS = (
    select(user_identities.c.issuer)
    .distinct()
    .where(user_identities.c.user_id == users.c.user_id)
    .order_by(user_identities.c.issuer)
    .scalar_subquery()
)
_TIME_ZONE = (
    select(user_settings.c.time_zone).where(user_settings.c.user_id == users.c.user_id).scalar_subquery()
)

USERS = (
    select(*_COLUMNS, _IDENTIFIERS, func.array(_ISSUERS), _TIME_ZONE)
    # A merged guest is not visible; its data belongs to the user it was merged into.
    .where(users.c.merged_into_user_id == null())
)
"""Selects UserRows; each statement adds its conditions."""

_VISIBLE = or_(bindparam("show_deleted", type_=Boolean), users.c.deleted_at == null())
_THE_USER = users.c.user_id == bindparam("user_id")
_PAGE = (
    USERS.where(_VISIBLE, users.c.user_id > bindparam("after_id"))
    .order_by(users.c.user_id)
    .limit(bindparam("limit"))
)
_PAGE_BY_ROLE = _PAGE.where(users.c.role == bindparam("role"))

GET = statement(USERS.where(_THE_USER, users.c.deleted_at == null()), UserRow)
GET_OR_DELETED = statement(USERS.where(_THE_USER), UserRow)
GET_FOR_UPDATE = statement(USERS.where(_THE_USER, users.c.deleted_at == null()).with_for_update(), UserRow)
GET_OR_DELETED_FOR_UPDATE = statement(USERS.where(_THE_USER).with_for_update(), UserRow)
LIST = statement(_PAGE, UserRow)
LIST_BY_ROLE = statement(_PAGE_BY_ROLE, UserRow)
USER_ID_BY_IDENTIFIER = statement(
    select(login_identifiers.c.user_id).where(login_identifiers.c.canonical == bindparam("canonical")), str
)
LIST_NAMES = statement(
    select(*columns(NameRow, users)).where(
        users.c.user_id == any_(bindparam("user_ids", type_=ARRAY(users.c.user_id.type))),
        users.c.deleted_at == null(),
    ),
    NameRow,
)
# Serializes the removal of administrators. Two concurrent transactions could otherwise each remove one of
# the last two.
LOCK_ADMINS = statement(select(func.pg_advisory_xact_lock(func.hashtext("administrators"))))
OTHER_ACTIVE_ADMIN = statement(
    select(users.c.user_id)
    .where(
        users.c.role == "ADMIN",
        users.c.user_id != bindparam("user_id"),
        users.c.deleted_at == null(),
        users.c.deactivated_at == null(),
    )
    .limit(1),
    str,
)
_OF_CLAIMANT = (
    _THE_USER,
    login_identifiers.c.user_id == bindparam("user_id"),
    login_identifiers.c.canonical == bindparam("canonical"),
    login_identifiers.c.kind != "LOGIN_NAME",
    login_identifiers.c.verified_at == null(),
)
IS_USED = or_(users.c.last_sign_in_at != null(), exists().where(credentials.c.user_id == users.c.user_id))
"""Whether the account was ever signed in to, or has a password."""

# Locks the account, so that its user cannot verify the address at the same time.
LOCK_CLAIM = statement(
    select(users.c.deleted_at != null(), IS_USED)
    .where(*_OF_CLAIMANT)
    .with_for_update(of=[users, login_identifiers]),
    ClaimRow,
)
RELEASE_CLAIM = statement(
    delete(login_identifiers).where(
        login_identifiers.c.user_id == bindparam("user_id"),
        login_identifiers.c.canonical == bindparam("canonical"),
    )
)
ADD = statement(
    insert(users).values({name: bindparam(name) for name in NewUser._fields}).returning(users.c.user_id), str
)
# Returns no row if the identifier is taken; unlike an error, this keeps the transaction usable.
CLAIM_IDENTIFIER = statement(
    upsert(login_identifiers)
    .values({name: bindparam(name) for name in ("user_id", *Identifier._fields)})
    .on_conflict_do_nothing()
    .returning(login_identifiers.c.kind),
    str,
)
CLAIM_SIGN_UP_REQUEST = statement(
    upsert(sign_up_requests)
    .values(request_id=bindparam("request_id"), user_id=bindparam("user_id"))
    .on_conflict_do_nothing()
    .returning(sign_up_requests.c.user_id),
    str,
)
ADD_PASSWORD = statement(
    insert(credentials).values(user_id=bindparam("user_id"), password_hash=bindparam("password_hash"))
)
UPDATE_PROFILE = statement(
    update(users)
    .where(_THE_USER, users.c.deleted_at == null())
    .values({name: bindparam(name) for name in Profile._fields})
    .values(version=users.c.version + 1, updated_at=func.now())
)


async def get(executor: Executor, user_id: str, *, include_deleted: bool = False) -> UserRow | None:
    """Returns a user, or None."""
    return await executor.one(GET_OR_DELETED if include_deleted else GET, user_id=user_id)


async def get_for_update(
    transaction: Transaction, user_id: str, *, include_deleted: bool = False
) -> UserRow | None:
    """Returns a user, or None. Locks the row until the transaction ends."""
    return await transaction.one(
        GET_OR_DELETED_FOR_UPDATE if include_deleted else GET_FOR_UPDATE, user_id=user_id
    )


async def list_after(
    executor: Executor, role: str | None, after_id: UUID, limit: int, *, include_deleted: bool
) -> list[UserRow]:
    """Returns users with an id above `after_id`, in the order of their creation.

    `role` restricts the list to one role.
    """
    parameters = {"after_id": after_id, "limit": limit, "show_deleted": include_deleted}
    if role is None:
        return await executor.all(LIST, **parameters)
    return await executor.all(LIST_BY_ROLE, role=role, **parameters)


async def user_id_by_identifier(executor: Executor, canonical: str) -> str | None:
    """Returns the id of the user with this login name, e-mail address or phone number, or None."""
    return await executor.one(USER_ID_BY_IDENTIFIER, canonical=canonical)


async def list_names(executor: Executor, user_ids: list[str]) -> list[NameRow]:
    """Returns the names of those of these users that exist."""
    return await executor.all(LIST_NAMES, user_ids=user_ids)


async def lock_admins(transaction: Transaction) -> None:
    """Keeps other transactions from removing an administrator until this one ends."""
    await transaction.run(LOCK_ADMINS)


async def has_other_admin(transaction: Transaction, user_id: str) -> bool:
    """Returns whether another active user is an administrator."""
    return await transaction.one(OTHER_ACTIVE_ADMIN, user_id=user_id) is not None


async def add(transaction: Transaction, user: NewUser) -> str:
    """Inserts a user and returns the user id."""
    user_id = await transaction.one(ADD, **user._asdict())
    assert user_id is not None
    return user_id


async def claim_identifier(transaction: Transaction, user_id: str, identifier: Identifier) -> bool:
    """Assigns a login identifier to a user; returns False if it is taken."""
    claimed = await transaction.one(CLAIM_IDENTIFIER, user_id=user_id, **identifier._asdict())
    return claimed is not None


async def release_claim(transaction: Transaction, canonical: str, *, by_admin: bool) -> str | None:
    """Removes an address from a deleted account that has not verified it, and returns the id of its user.

    An administrator also removes it from an account that is in use. Returns None if no account loses it.
    """
    user_id = await user_id_by_identifier(transaction, canonical)
    if user_id is None:
        return None
    claim = await transaction.one(LOCK_CLAIM, user_id=user_id, canonical=canonical)
    if claim is None or not (claim.deleted or (by_admin and claim.used)):
        return None
    await transaction.run(RELEASE_CLAIM, user_id=user_id, canonical=canonical)
    return user_id


async def claim_sign_up_request(transaction: Transaction, request_id: str, user_id: str) -> bool:
    """Binds a sign-up request to the user that it creates; returns False if it already created one."""
    claimed = await transaction.one(CLAIM_SIGN_UP_REQUEST, request_id=request_id, user_id=user_id)
    return claimed is not None


async def add_password(transaction: Transaction, user_id: str, password_hash: str) -> None:
    """Inserts the password hash of a new user."""
    await transaction.run(ADD_PASSWORD, user_id=user_id, password_hash=password_hash)


async def update_profile(transaction: Transaction, user_id: str, profile: Profile) -> None:
    """Replaces the profile of a user."""
    await transaction.run(UPDATE_PROFILE, user_id=user_id, **profile._asdict())
