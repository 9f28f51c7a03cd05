"""SQL of login identifiers and external identities."""

from sqlalchemy import (
    ARRAY,
    Boolean,
    Text,
    bindparam,
    case,
    delete,
    exists,
    false,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from chassis.database import Executor, Transaction, statement
from identity_service.people.users import store as user_store
from identity_service.people.users.types import Identifier
from identity_service.sign_in.identifiers.types import ExternalIdentity, IdentifierOwner, IdentifierRow
from identity_service.tables import credentials, login_identifiers, user_identities, users

_COLUMNS = (login_identifiers.c.kind, login_identifiers.c.value, login_identifiers.c.canonical)
_VERIFIED = login_identifiers.c.verified_at != null()
_OF_USER = login_identifiers.c.user_id == bindparam("user_id")
_THE_IDENTIFIER = login_identifiers.c.canonical == bindparam("canonical")
_OTHER = login_identifiers.alias("other")

# Advisory locks, because no row exists yet for a new identifier. Callers sort the keys, so that two
# transactions that lock several of them cannot deadlock.
_LOCK_KEYS = func.unnest(bindparam("lock_keys", type_=ARRAY(Text))).column_valued("lock_key")
LOCK = statement(select(func.pg_advisory_xact_lock(func.hashtextextended(_LOCK_KEYS, 0))))
LOCK_USER = statement(
    select(users.c.user_id).where(users.c.user_id == bindparam("user_id")).with_for_update(), str
)
GET_OWNER = statement(
    select(
        login_identifiers.c.user_id,
        _VERIFIED,
        or_(
            exists().where(
                _OTHER.c.user_id == bindparam("user_id"),
                _OTHER.c.kind != login_identifiers.c.kind,
                _OTHER.c.verified_at != null(),
            ),
            exists().where(user_identities.c.user_id == bindparam("user_id")),
        ),
        or_(
            users.c.last_sign_in_at != null(),
            exists().where(credentials.c.user_id == bindparam("user_id")),
        ),
        users.c.deleted_at != null(),
    )
    .join(users, users.c.user_id == login_identifiers.c.user_id)
    .where(_OF_USER, _THE_IDENTIFIER),
    IdentifierOwner,
)
USER_ID_BY_IDENTITY = statement(
    select(user_identities.c.user_id).where(
        user_identities.c.issuer == bindparam("issuer"), user_identities.c.subject == bindparam("subject")
    ),
    str,
)
IS_DELETED = statement(
    select(users.c.deleted_at != null()).where(users.c.user_id == bindparam("user_id")), bool
)
LIST_BY_USER = statement(select(*_COLUMNS, _VERIFIED).where(_OF_USER), IdentifierRow)
# Inserts nothing if the identifier is taken; the caller checks whether a row was returned.
ADD = statement(
    upsert(login_identifiers)
    .values({name: bindparam(name) for name in ("user_id", *Identifier._fields)})
    .values(verified_at=case((bindparam("verified", type_=Boolean), func.now()), else_=null()))
    .on_conflict_do_nothing()
    .returning(login_identifiers.c.kind),
    str,
)
MARK_VERIFIED = statement(
    update(login_identifiers).where(_OF_USER, _THE_IDENTIFIER).values(verified_at=func.now())
)
DELETE = statement(delete(login_identifiers).where(_OF_USER, login_identifiers.c.kind == bindparam("kind")))
DELETE_OTHER_UNVERIFIED = statement(
    delete(login_identifiers).where(
        _OF_USER,
        login_identifiers.c.kind != "LOGIN_NAME",
        login_identifiers.c.canonical != bindparam("canonical"),
        login_identifiers.c.verified_at == null(),
    )
)
ADD_IDENTITY = statement(
    upsert(user_identities)
    .values({name: bindparam(name) for name in ("user_id", *ExternalIdentity._fields)})
    .on_conflict_do_nothing()
    .returning(user_identities.c.user_id),
    str,
)
ADD_GUEST = statement(
    insert(users)
    .values(
        display_name=bindparam("display_name"),
        nickname=bindparam("nickname"),
        role=literal("STUDENT"),
        guest=true(),
    )
    .returning(users.c.user_id),
    str,
)
END_GUEST = statement(
    update(users)
    .where(users.c.user_id == bindparam("user_id"), users.c.guest)
    .values(guest=false(), role=bindparam("role"), version=users.c.version + 1, updated_at=func.now())
)
IS_GUEST = statement(select(users.c.guest).where(users.c.user_id == bindparam("user_id")), bool)


async def lock(transaction: Transaction, lock_keys: list[str]) -> None:
    """Locks identifiers until the transaction ends, whether or not they exist."""
    await transaction.run(LOCK, lock_keys=sorted(lock_keys))


async def lock_owner(transaction: Transaction, canonical: str) -> IdentifierOwner | None:
    """Returns the owner of an address, or None. The account stays locked until the transaction ends.

    A locked account can neither be changed nor signed in to.
    """
    user_id = await user_store.user_id_by_identifier(transaction, canonical)
    if user_id is None:
        return None
    await transaction.one(LOCK_USER, user_id=user_id)
    # Read after the lock, because the account may have changed before it was locked.
    return await transaction.one(GET_OWNER, user_id=user_id, canonical=canonical)


async def user_id_by_identity(executor: Executor, identity: ExternalIdentity) -> str | None:
    """Returns the user of an external identity, or None."""
    return await executor.one(USER_ID_BY_IDENTITY, **identity._asdict())


async def is_deleted(executor: Executor, user_id: str) -> bool:
    """Returns whether an account is deleted."""
    deleted = await executor.one(IS_DELETED, user_id=user_id)
    return deleted is True


async def list_by_user(executor: Executor, user_id: str) -> dict[str, IdentifierRow]:
    """Returns the login identifiers of a user, by kind."""
    return {row.kind: row for row in await executor.all(LIST_BY_USER, user_id=user_id)}


async def add(transaction: Transaction, user_id: str, identifier: Identifier, *, verified: bool) -> bool:
    """Adds a login identifier; returns False if it is taken, or the user has another one of its kind."""
    added = await transaction.one(ADD, user_id=user_id, **identifier._asdict(), verified=verified)
    return added is not None


async def mark_verified(transaction: Transaction, user_id: str, canonical: str) -> None:
    """Marks an address of a user as verified."""
    await transaction.run(MARK_VERIFIED, user_id=user_id, canonical=canonical)


async def delete_by_kind(transaction: Transaction, user_id: str, kind: str) -> None:
    """Deletes the login identifier of this kind from a user."""
    await transaction.run(DELETE, user_id=user_id, kind=kind)


async def delete_other_unverified(transaction: Transaction, user_id: str, canonical: str) -> None:
    """Deletes all unverified addresses of a user except this one."""
    await transaction.run(DELETE_OTHER_UNVERIFIED, user_id=user_id, canonical=canonical)


async def add_identity(transaction: Transaction, user_id: str, identity: ExternalIdentity) -> bool:
    """Adds an external identity to a user; returns False if a user already has it."""
    return await transaction.one(ADD_IDENTITY, user_id=user_id, **identity._asdict()) is not None


async def add_guest(transaction: Transaction, display_name: str, nickname: str) -> str:
    """Adds a guest and returns the user id."""
    user_id = await transaction.one(ADD_GUEST, display_name=display_name, nickname=nickname)
    assert user_id is not None
    return user_id


async def is_guest(executor: Executor, user_id: str) -> bool:
    """Returns whether a user is a guest."""
    return await executor.one(IS_GUEST, user_id=user_id) is True


async def end_guest(transaction: Transaction, user_id: str, role: str) -> None:
    """Makes a guest a regular user with this role."""
    await transaction.run(END_GUEST, user_id=user_id, role=role)
