"""SQL of sign-ins, their refresh tokens and sign-up requests."""

from datetime import datetime, timedelta

from sqlalchemy import (
    Interval,
    bindparam,
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
from identity_service.sign_in.tokens.types import BegunRow, SignInRow, SubjectRow
from identity_service.tables import classes, sign_ins, sign_up_requests, user_classes, users

_COLUMNS = columns(SignInRow, sign_ins)
_THE_SIGN_IN = (sign_ins.c.user_id == bindparam("user_id"), sign_ins.c.sign_in_id == bindparam("sign_in_id"))
_IS_ACTIVE = exists().where(*_THE_SIGN_IN, sign_ins.c.revoked_at == null())
_NONE = cast(literal("{}"), JSONB)
_MEMBERSHIPS = (
    select(user_classes.c.class_id, user_classes.c.role, classes.c.archived_at)
    .join(classes, classes.c.class_id == user_classes.c.class_id)
    .where(user_classes.c.user_id == users.c.user_id, classes.c.deleted_at == null())
    # A token has room for this many classes: active classes first, then the newest memberships.
    .order_by(classes.c.archived_at != null(), user_classes.c.created_at.desc())
    .limit(MAX_CLASSES)
    .correlate(users)
    .lateral("memberships")
)
_ROLES = func.jsonb_object_agg(_MEMBERSHIPS.c.class_id, _MEMBERSHIPS.c.role)
_ACTIVE_CLASSES = _ROLES.filter(_MEMBERSHIPS.c.class_id != null(), _MEMBERSHIPS.c.archived_at == null())
_ARCHIVED_CLASSES = _ROLES.filter(_MEMBERSHIPS.c.archived_at != null())

# One statement reads the rights version, the classes and the sign-in in one snapshot. A token therefore
# never combines a new version with old rights, or with a sign-in that ended when the version changed.
GET_SUBJECT = statement(
    select(
        users.c.role,
        users.c.guest,
        users.c.deactivated_at == null(),
        users.c.rights_version,
        func.coalesce(_ACTIVE_CLASSES, _NONE),
        func.coalesce(_ARCHIVED_CLASSES, _NONE),
    )
    .select_from(users)
    .outerjoin(_MEMBERSHIPS, true())
    .where(users.c.user_id == bindparam("user_id"), users.c.deleted_at == null(), _IS_ACTIVE)
    .group_by(users.c.user_id),
    SubjectRow,
)
# Locks the row of the user. A concurrent deactivation is therefore either visible here, or ends the new
# sign-in together with the others.
RECORD_SIGN_IN = statement(
    update(users)
    .where(users.c.user_id == bindparam("user_id"), users.c.deleted_at == null())
    .values(last_sign_in_at=func.now())
    .returning(users.c.deactivated_at == null()),
    bool,
)
GET_SIGN_UP_REQUEST = statement(
    select(sign_up_requests.c.user_id).where(sign_up_requests.c.request_id == bindparam("request_id")), str
)
_others = sign_ins.alias()
# A statement does not see the row that it inserts. Uses the primary key, because ids ascend with time (UUIDv7).
_EARLIER = select(func.count()).where(
    _others.c.user_id == bindparam("user_id"),
    _others.c.sign_in_id >= func.uuidv7(literal(timedelta(hours=-1), Interval)),
)
# A retry of the same request returns the existing sign-in.
BEGIN = statement(
    upsert(sign_ins)
    .values({name: bindparam(name) for name in ("user_id", "request_id", "current_hash")})
    .values(expires_at=func.now() + bindparam("lifetime", type_=Interval))
    .on_conflict_do_update(
        index_elements=["user_id", "request_id"],
        index_where=sign_ins.c.request_id != null(),
        set_={"request_id": bindparam("request_id")},
    )
    .returning(
        *(sign_ins.c[name] for name in BegunRow._fields if name in sign_ins.c),
        sign_ins.c.created_at == func.now(),
        _EARLIER.scalar_subquery(),
    ),
    BegunRow,
)
GET_BY_REQUEST = statement(
    select(*_COLUMNS).where(
        sign_ins.c.user_id == bindparam("user_id"), sign_ins.c.request_id == bindparam("request_id")
    ),
    SignInRow,
)
GET_FOR_UPDATE = statement(select(*_COLUMNS).where(*_THE_SIGN_IN).with_for_update(), SignInRow)
ROTATE = statement(
    update(sign_ins)
    .where(*_THE_SIGN_IN)
    .values(
        previous_hash=sign_ins.c.current_hash,
        current_hash=bindparam("successor_hash"),
        rotated_at=func.clock_timestamp(),
        expires_at=func.now() + bindparam("lifetime", type_=Interval),
    )
    .returning(sign_ins.c.expires_at),
    datetime,
)
PURGE_SIGN_INS = statement(
    delete(sign_ins).where(sign_ins.c.expires_at < func.now() - bindparam("retention", type_=Interval))
)
PURGE_SIGN_UP_REQUESTS = statement(
    delete(sign_up_requests).where(
        sign_up_requests.c.created_at < func.now() - bindparam("retention", type_=Interval)
    )
)


async def get_subject(executor: Executor, user_id: str, sign_in_id: str) -> SubjectRow | None:
    """Returns the rights of a user, or None if the user is deleted or the sign-in has ended."""
    return await executor.one(GET_SUBJECT, user_id=user_id, sign_in_id=sign_in_id)


async def touch_last_sign_in(transaction: Transaction, user_id: str) -> bool | None:
    """Sets the time of the last sign-in. Returns whether the user is active, or None if there is no user."""
    return await transaction.one(RECORD_SIGN_IN, user_id=user_id)


async def get_sign_up_request(executor: Executor, request_id: str) -> str | None:
    """Returns the user that a sign-up request created, or None."""
    return await executor.one(GET_SIGN_UP_REQUEST, request_id=request_id)


async def begin(
    transaction: Transaction, user_id: str, request_id: str, current_hash: bytes, lifetime: timedelta
) -> BegunRow:
    """Begins a sign-in, or returns the one that the same request began."""
    row = await transaction.one(
        BEGIN, user_id=user_id, request_id=request_id or None, current_hash=current_hash, lifetime=lifetime
    )
    assert row is not None
    return row


async def get_by_request(executor: Executor, user_id: str, request_id: str) -> SignInRow | None:
    """Returns the sign-in that a request began, or None."""
    return await executor.one(GET_BY_REQUEST, user_id=user_id, request_id=request_id)


async def get_for_update(transaction: Transaction, user_id: str, sign_in_id: str) -> SignInRow | None:
    """Returns a sign-in, or None, and locks it until the transaction ends."""
    return await transaction.one(GET_FOR_UPDATE, user_id=user_id, sign_in_id=sign_in_id)


async def rotate(
    transaction: Transaction, user_id: str, sign_in_id: str, successor_hash: bytes, lifetime: timedelta
) -> datetime:
    """Replaces the current token by its successor, and returns the expiry of the successor."""
    expires_at = await transaction.one(
        ROTATE, user_id=user_id, sign_in_id=sign_in_id, successor_hash=successor_hash, lifetime=lifetime
    )
    assert expires_at is not None
    return expires_at


async def purge_sign_ins(transaction: Transaction, retention: timedelta) -> None:
    """Deletes sign-ins that expired or ended more than `retention` ago."""
    await transaction.run(PURGE_SIGN_INS, retention=retention)


async def purge_sign_up_requests(transaction: Transaction, retention: timedelta) -> None:
    """Deletes sign-up requests that are older than `retention`."""
    await transaction.run(PURGE_SIGN_UP_REQUESTS, retention=retention)
