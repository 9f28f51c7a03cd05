"""SQL of credentials, sign-ins and failed attempts."""

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import (
    ColumnElement,
    Interval,
    bindparam,
    case,
    cast,
    delete,
    exists,
    func,
    literal,
    null,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert

from chassis.database import Executor, Transaction, columns, statement
from identity_service.classes.rules import MAX_CLASSES
from identity_service.sign_in.tokens import rules
from identity_service.tables import (
    Class,
    Credential,
    LoginIdentifier,
    SignIn,
    SignInFailure,
    SignUpRequest,
    User,
    UserClass,
)


class CredentialRow(NamedTuple):
    """Who has a name, and the password they proved it with."""

    user_id: str
    password_hash: str


class SubjectRow(NamedTuple):
    """What a token says of a person, read in one snapshot."""

    role: str
    guest: bool
    let_in: bool
    rights_version: int
    classes: dict[str, str]
    archived: dict[str, str]


class SignInRow(NamedTuple):
    """A sign-in and the state of its refresh tokens."""

    sign_in_id: str
    current_hash: bytes
    previous_hash: bytes | None
    rotated_at: datetime | None
    expires_at: datetime
    revoked_at: datetime | None


_LASTS = exists().where(
    SignIn.user_id == bindparam("user_id"),
    SignIn.sign_in_id == bindparam("sign_in_id"),
    SignIn.revoked_at == null(),
)
_NONE = cast(literal("{}"), JSONB)
_HELD = (
    select(UserClass.class_id, UserClass.role, Class.archived_at)
    .join(Class, Class.class_id == UserClass.class_id)
    .where(UserClass.user_id == User.user_id, Class.deleted_at == null())
    # As many as a token can carry: those in use before those that are not, the newest first.
    .order_by(Class.archived_at != null(), UserClass.created_at.desc())
    .limit(MAX_CLASSES)
    .correlate(User)
    .lateral("held")
)
_ROLES = func.jsonb_object_agg(_HELD.c.class_id, _HELD.c.role)
_THE_SIGN_IN = (SignIn.user_id == bindparam("user_id"), SignIn.sign_in_id == bindparam("sign_in_id"))
_SIGN_IN = columns(SignInRow, SignIn)
_CREDENTIAL = columns(CredentialRow, Credential)

CREDENTIAL_BY_IDENTIFIER = statement(
    select(*_CREDENTIAL)
    .join(LoginIdentifier, LoginIdentifier.user_id == Credential.user_id)
    .join(User, User.user_id == Credential.user_id)
    .where(LoginIdentifier.canonical == bindparam("canonical"), User.deleted_at == null()),
    CredentialRow,
)
# Rights version, classes and the sign-in come from one snapshot: a token never pairs a new version with
# old rights, nor with a sign-in that was ended when the version rose.
SUBJECT = statement(
    select(
        User.role,
        User.guest,
        User.deactivated_at == null(),
        User.rights_version,
        func.coalesce(_ROLES.filter(_HELD.c.class_id != null(), _HELD.c.archived_at == null()), _NONE),
        func.coalesce(_ROLES.filter(_HELD.c.archived_at != null()), _NONE),
    )
    .select_from(User)
    .outerjoin(_HELD, true())
    .where(User.user_id == bindparam("user_id"), User.deleted_at == null(), _LASTS)
    .group_by(User.user_id),
    SubjectRow,
)
# Takes the person's row, so that who is shut out at this moment is either seen to be, or has their new
# sign-in ended with the others.
ARRIVE = statement(
    update(User)
    .where(User.user_id == bindparam("user_id"), User.deleted_at == null())
    .values(last_sign_in_at=func.now())
    .returning(User.deactivated_at == null()),
    bool,
)
REQUESTED = statement(
    select(SignUpRequest.user_id).where(SignUpRequest.request_id == bindparam("request_id")), str
)
# A repetition of the same request finds the sign-in that it made.
BEGIN = statement(
    upsert(SignIn)
    .values({name: bindparam(name) for name in ("user_id", "request_id", "current_hash")})
    .values(expires_at=func.now() + bindparam("lifetime", type_=Interval))
    .on_conflict_do_update(
        index_elements=["user_id", "request_id"],
        index_where=SignIn.request_id != null(),
        set_={"request_id": bindparam("request_id")},
    )
    .returning(*_SIGN_IN),
    SignInRow,
)
BEGUN = statement(
    select(*_SIGN_IN).where(
        SignIn.user_id == bindparam("user_id"), SignIn.request_id == bindparam("request_id")
    ),
    SignInRow,
)
LOCKED = statement(select(*_SIGN_IN).where(*_THE_SIGN_IN).with_for_update(), SignInRow)
ROTATE = statement(
    update(SignIn)
    .where(*_THE_SIGN_IN)
    .values(
        previous_hash=SignIn.current_hash,
        current_hash=bindparam("successor_hash"),
        rotated_at=func.clock_timestamp(),
        expires_at=func.now() + bindparam("lifetime", type_=Interval),
    )
    .returning(SignIn.expires_at),
    datetime,
)


def _wait(times: int = 1) -> ColumnElement[timedelta]:
    """The rule in SQL, for the database decides, with the row in its hands."""
    waits = ((least, literal(wait * times, Interval)) for least, wait in reversed(rules.WAITS))
    return case(*((SignInFailure.failures >= least, wait) for least, wait in waits), else_=timedelta())


_WAIT_ENDS = SignInFailure.failed_at + _wait()
# Attempts at the same time queue on the row, and each sees those before it: hence the clock,
# for now() is when an attempt began to queue.
COUNT_ATTEMPT = statement(
    upsert(SignInFailure)
    .values(identifier_hash=bindparam("identifier_hash"), failures=1, failed_at=func.clock_timestamp())
    .on_conflict_do_update(
        index_elements=["identifier_hash"],
        set_={"failures": SignInFailure.failures + 1, "failed_at": func.clock_timestamp()},
        where=func.clock_timestamp() >= _WAIT_ENDS,
    )
    .returning(SignInFailure.failures),
    int,
)
WAIT = statement(
    select(_WAIT_ENDS - func.clock_timestamp()).where(
        SignInFailure.identifier_hash == bindparam("identifier_hash")
    ),
    timedelta,
)
FORGET_FAILURES = statement(
    delete(SignInFailure)
    .where(SignInFailure.identifier_hash == bindparam("identifier_hash"))
    .returning(SignInFailure.failures),
    int,
)
PURGE_SIGN_INS = statement(
    delete(SignIn).where(SignIn.expires_at < func.now() - bindparam("kept_for", type_=Interval))
)
PURGE_REQUESTS = statement(
    delete(SignUpRequest).where(SignUpRequest.created_at < func.now() - bindparam("kept_for", type_=Interval))
)
PURGE_FAILURES = statement(
    delete(SignInFailure).where(
        SignInFailure.failed_at < func.now() - bindparam("kept_for", type_=Interval),
        SignInFailure.failed_at < func.now() - _wait(rules.FORGOTTEN_AFTER_WAITS),
    )
)


async def credential_by_identifier(executor: Executor, canonical: str) -> CredentialRow | None:
    """Who signs in with a name, and their password's hash."""
    return await executor.one(CREDENTIAL_BY_IDENTIFIER, canonical=canonical)


async def subject(executor: Executor, user_id: str, sign_in_id: str) -> SubjectRow | None:
    """What a token of a sign-in says of a person; None where either has ended."""
    return await executor.one(SUBJECT, user_id=user_id, sign_in_id=sign_in_id)


async def arrive(transaction: Transaction, user_id: str) -> bool | None:
    """Notes that a person signs in; False where they are shut out, None where there is nobody."""
    return await transaction.one(ARRIVE, user_id=user_id)


async def requested(executor: Executor, request_id: str) -> str | None:
    """The person whom a sign-up's request made."""
    return await executor.one(REQUESTED, request_id=request_id)


async def begin(
    transaction: Transaction, user_id: str, request_id: str, current_hash: bytes, lifetime: timedelta
) -> SignInRow:
    """Begins a sign-in, or returns the one that this request began."""
    row = await transaction.one(
        BEGIN, user_id=user_id, request_id=request_id or None, current_hash=current_hash, lifetime=lifetime
    )
    assert row is not None
    return row


async def begun(executor: Executor, user_id: str, request_id: str) -> SignInRow | None:
    """The sign-in that a request began."""
    return await executor.one(BEGUN, user_id=user_id, request_id=request_id)


async def locked(transaction: Transaction, user_id: str, sign_in_id: str) -> SignInRow | None:
    """A sign-in that nobody else refreshes until the transaction ends."""
    return await transaction.one(LOCKED, user_id=user_id, sign_in_id=sign_in_id)


async def rotate(
    transaction: Transaction, user_id: str, sign_in_id: str, successor_hash: bytes, lifetime: timedelta
) -> datetime:
    """Puts a successor in the current token's place; returns when it expires."""
    expires_at = await transaction.one(
        ROTATE, user_id=user_id, sign_in_id=sign_in_id, successor_hash=successor_hash, lifetime=lifetime
    )
    assert expires_at is not None
    return expires_at


async def count_attempt(executor: Executor, identifier_hash: bytes) -> bool:
    """Counts an attempt as one that fails, until it succeeds; False where it has to wait, and is not counted."""
    return await executor.one(COUNT_ATTEMPT, identifier_hash=identifier_hash) is not None


async def wait(executor: Executor, identifier_hash: bytes) -> timedelta:
    """How long the next attempt has to wait."""
    remaining = await executor.one(WAIT, identifier_hash=identifier_hash)
    return max(remaining or timedelta(), timedelta())


async def forget_failures(executor: Executor, identifier_hash: bytes) -> None:
    """Begins the count anew."""
    await executor.one(FORGET_FAILURES, identifier_hash=identifier_hash)


async def purge(
    transaction: Transaction, sign_ins: timedelta, requests: timedelta, failed: timedelta
) -> None:
    """Deletes what ended longer ago than this."""
    await transaction.run(PURGE_SIGN_INS, kept_for=sign_ins)
    await transaction.run(PURGE_REQUESTS, kept_for=requests)
    await transaction.run(PURGE_FAILURES, kept_for=failed)
