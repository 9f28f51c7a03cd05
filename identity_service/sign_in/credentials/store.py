"""SQL of what people sign in with, and of who has proven it."""

from typing import NamedTuple

from sqlalchemy import ARRAY, Boolean, Text, bindparam, case, delete, exists, func, null, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from chassis.database import Executor, Transaction, columns, statement
from identity_service.people.users.store import Identifier
from identity_service.sign_in.credentials.proofs import Identity
from identity_service.sign_in.credentials.rules import Holder
from identity_service.tables import Credential, LoginIdentifier, User, UserIdentity


class Own(NamedTuple):
    """What a person signs in with."""

    kind: str
    value: str
    canonical: str
    proven: bool


class PersonRow(NamedTuple):
    """What linking asks of a person."""

    display_name: str
    nickname: str
    role: str
    guest: bool
    rights_version: int


_OWN = (LoginIdentifier.kind, LoginIdentifier.value, LoginIdentifier.canonical)
_PROVEN = LoginIdentifier.proven_at != null()
_OF_USER = LoginIdentifier.user_id == bindparam("user_id")
_THE_NAME = LoginIdentifier.canonical == bindparam("canonical")
_OTHER = LoginIdentifier.__table__.alias("other")

# Who proves or links a name waits for who does before them, also where nobody has it yet. In the
# order of the names, so that two who lock several never wait for each other.
_NAMES = func.unnest(bindparam("names", type_=ARRAY(Text))).column_valued("name")
LOCK = statement(select(func.pg_advisory_xact_lock(func.hashtextextended(_NAMES, 0))))
LOCK_USER = statement(select(User.user_id).where(User.user_id == bindparam("user_id")).with_for_update(), str)
WHO_HAS = statement(select(LoginIdentifier.user_id).where(_THE_NAME), str)
HOLDER = statement(
    select(
        LoginIdentifier.user_id,
        _PROVEN,
        or_(
            exists().where(
                _OTHER.c.user_id == bindparam("user_id"),
                _OTHER.c.kind != LoginIdentifier.kind,
                _OTHER.c.proven_at != null(),
            ),
            exists().where(UserIdentity.user_id == bindparam("user_id")),
        ),
        or_(
            User.last_sign_in_at != null(),
            exists().where(Credential.user_id == bindparam("user_id")),
        ),
        User.deleted_at != null(),
    )
    .join(User, User.user_id == LoginIdentifier.user_id)
    .where(_OF_USER, _THE_NAME),
    Holder,
)
WHO_IS = statement(
    select(UserIdentity.user_id).where(
        UserIdentity.issuer == bindparam("issuer"), UserIdentity.subject == bindparam("subject")
    ),
    str,
)
IS_DELETED = statement(select(User.deleted_at != null()).where(User.user_id == bindparam("user_id")), bool)
PERSON = statement(
    select(*columns(PersonRow, User))
    .where(User.user_id == bindparam("user_id"), User.deleted_at == null())
    .with_for_update(),
    PersonRow,
)
OWN = statement(select(*_OWN, _PROVEN).where(_OF_USER), Own)
PASSWORD = statement(select(Credential.password_hash).where(Credential.user_id == bindparam("user_id")), str)

# Silent where the name is somebody's already; the caller asks whether a row came back.
ADD = statement(
    upsert(LoginIdentifier)
    .values({name: bindparam(name) for name in ("user_id", *Identifier._fields)})
    .values(proven_at=case((bindparam("proven", type_=Boolean), func.now()), else_=null()))
    .on_conflict_do_nothing()
    .returning(LoginIdentifier.kind),
    str,
)
PROVE = statement(update(LoginIdentifier).where(_OF_USER, _THE_NAME).values(proven_at=func.now()))
REMOVE = statement(delete(LoginIdentifier).where(_OF_USER, LoginIdentifier.kind == bindparam("kind")))
REMOVE_OTHER_CLAIMS = statement(
    delete(LoginIdentifier).where(
        _OF_USER,
        LoginIdentifier.kind != "LOGIN_NAME",
        LoginIdentifier.canonical != bindparam("canonical"),
        LoginIdentifier.proven_at == null(),
    )
)
ADD_IDENTITY = statement(
    upsert(UserIdentity)
    .values({name: bindparam(name) for name in ("user_id", *Identity._fields)})
    .on_conflict_do_nothing()
)
_SET_PASSWORD = upsert(Credential).values(
    user_id=bindparam("user_id"), password_hash=bindparam("password_hash")
)
ADD_PASSWORD = statement(_SET_PASSWORD.on_conflict_do_nothing().returning(Credential.user_id), str)
SET_PASSWORD = statement(
    _SET_PASSWORD.on_conflict_do_update(
        index_elements=["user_id"],
        set_={"password_hash": _SET_PASSWORD.excluded.password_hash, "updated_at": func.now()},
    )
)
END_PASSWORD = statement(delete(Credential).where(Credential.user_id == bindparam("user_id")))
CHANGE_PERSON = statement(
    update(User)
    .where(User.user_id == bindparam("user_id"))
    .values({name: bindparam(name) for name in ("display_name", "nickname", "role", "guest")})
    .values(version=User.version + 1, updated_at=func.now())
)


async def lock(transaction: Transaction, names: list[str]) -> None:
    """Keeps others from proving or linking these names until the transaction ends."""
    await transaction.run(LOCK, names=sorted(names))


async def holder(transaction: Transaction, canonical: str) -> Holder | None:
    """Who has an address; nobody changes their account, or signs in to it, until the transaction ends."""
    user_id = await who_has(transaction, canonical)
    if user_id is None:
        return None
    await transaction.one(LOCK_USER, user_id=user_id)
    # Asked only now: until it was locked they may have proven something, or lost the address.
    return await transaction.one(HOLDER, user_id=user_id, canonical=canonical)


async def who_has(executor: Executor, canonical: str) -> str | None:
    """The id of who has an address, proven or not."""
    return await executor.one(WHO_HAS, canonical=canonical)


async def who_is(executor: Executor, identity: Identity) -> str | None:
    """The id of who is this to an issuer."""
    return await executor.one(WHO_IS, **identity._asdict())


async def is_deleted(executor: Executor, user_id: str) -> bool:
    """Whether an account is deleted."""
    deleted = await executor.one(IS_DELETED, user_id=user_id)
    return deleted is True


async def person(transaction: Transaction, user_id: str) -> PersonRow | None:
    """A person whom nobody else changes until the transaction ends."""
    return await transaction.one(PERSON, user_id=user_id)


async def own(executor: Executor, user_id: str) -> dict[str, Own]:
    """What a person signs in with, by its kind."""
    return {row.kind: row for row in await executor.all(OWN, user_id=user_id)}


async def password(executor: Executor, user_id: str) -> str | None:
    """The hash of a person's password."""
    return await executor.one(PASSWORD, user_id=user_id)


async def add(transaction: Transaction, user_id: str, identifier: Identifier, *, proven: bool) -> bool:
    """Gives a login name or address to a person; False where it, or its kind, is taken."""
    added = await transaction.one(ADD, user_id=user_id, **identifier._asdict(), proven=proven)
    return added is not None


async def prove(transaction: Transaction, user_id: str, canonical: str) -> None:
    """Notes that a person has proven their address."""
    await transaction.run(PROVE, user_id=user_id, canonical=canonical)


async def remove(transaction: Transaction, user_id: str, kind: str) -> None:
    """Takes a login name or address from a person."""
    await transaction.run(REMOVE, user_id=user_id, kind=kind)


async def remove_other_claims(transaction: Transaction, user_id: str, canonical: str) -> None:
    """Takes every unproven address from a person, but for this one."""
    await transaction.run(REMOVE_OTHER_CLAIMS, user_id=user_id, canonical=canonical)


async def add_identity(transaction: Transaction, user_id: str, identity: Identity) -> None:
    """Notes who a person is to an issuer; the identity is nobody's and locked."""
    await transaction.run(ADD_IDENTITY, user_id=user_id, **identity._asdict())


async def add_password(transaction: Transaction, user_id: str, password_hash: str) -> bool:
    """Gives a person their first password; False where they have one."""
    added = await transaction.one(ADD_PASSWORD, user_id=user_id, password_hash=password_hash)
    return added is not None


async def set_password(transaction: Transaction, user_id: str, password_hash: str) -> None:
    """Gives a person a password in place of any other."""
    await transaction.run(SET_PASSWORD, user_id=user_id, password_hash=password_hash)


async def end_password(transaction: Transaction, user_id: str) -> None:
    """Takes a person's password away."""
    await transaction.run(END_PASSWORD, user_id=user_id)


async def change_person(
    transaction: Transaction, user_id: str, *, display_name: str, nickname: str, role: str, guest: bool
) -> None:
    """Replaces what linking changes of a person."""
    await transaction.run(
        CHANGE_PERSON, user_id=user_id, display_name=display_name, nickname=nickname, role=role, guest=guest
    )
