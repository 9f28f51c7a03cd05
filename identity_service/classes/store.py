"""SQL of classes."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Interval, bindparam, delete, func, insert, null, select, tuple_, update

from chassis.database import Executor, Statement, Transaction, columns, statement
from identity_service.tables import Class, JoinCode, Membership, RosterClass, UserClass


class ClassRow(NamedTuple):
    """A class."""

    class_id: str
    title: str
    description: str
    join_code: str
    join_policy: str
    version: int
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None
    deleted_at: datetime | None


class ClassOfUserRow(NamedTuple):
    """A class, and a person's place in it."""

    class_id: str
    title: str
    description: str
    join_code: str
    join_policy: str
    version: int
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None
    deleted_at: datetime | None
    role: str
    joined_at: datetime

    def of_class(self) -> ClassRow:
        """The class alone."""
        return ClassRow._make(self[: len(ClassRow._fields)])


class ClassFields(NamedTuple):
    """What is told of a class."""

    title: str
    description: str
    join_policy: str


_CLASS = columns(ClassRow, Class)
_ANY_CLASS = Class.class_id == bindparam("class_id")
_THE_CLASS = (_ANY_CLASS, Class.deleted_at == null())
_FIELDS: dict[str, Any] = {name: bindparam(name) for name in ClassFields._fields}
_CHANGED: dict[str, Any] = {"version": Class.version + 1, "updated_at": func.now()}
_LISTED = (
    select(*_CLASS)
    .where(Class.class_id < bindparam("before_id"))
    # Ids ascend with time.
    .order_by(Class.class_id.desc())
    .limit(bindparam("limit"))
)

GET = statement(select(*_CLASS).where(*_THE_CLASS), ClassRow)
LOCKED = statement(select(*_CLASS).where(_ANY_CLASS).with_for_update(), ClassRow)
ADD = statement(
    insert(Class).values({**_FIELDS, "join_code": bindparam("join_code")}).returning(*_CLASS), ClassRow
)
ADD_JOIN_CODE = statement(
    insert(JoinCode).values(join_code=bindparam("join_code"), class_id=bindparam("class_id"))
)
DROP_JOIN_CODE = statement(delete(JoinCode).where(JoinCode.join_code == bindparam("join_code")))
BY_JOIN_CODE = statement(select(JoinCode.class_id).where(JoinCode.join_code == bindparam("join_code")), str)
OF_USER = statement(
    select(*_CLASS, UserClass.role, UserClass.created_at)
    .join(Class, Class.class_id == UserClass.class_id)
    .where(
        UserClass.user_id == bindparam("user_id"),
        Class.deleted_at == null(),
        tuple_(UserClass.created_at, UserClass.class_id)
        < tuple_(bindparam("before"), bindparam("before_id")),
    )
    .order_by(UserClass.created_at.desc(), UserClass.class_id.desc())
    .limit(bindparam("limit")),
    ClassOfUserRow,
)
LISTED = statement(_LISTED.where(Class.deleted_at == null()), ClassRow)
LISTED_WITH_DELETED = statement(_LISTED, ClassRow)
UPDATE = statement(
    update(Class).where(_ANY_CLASS).values(_FIELDS).values(_CHANGED).returning(*_CLASS), ClassRow
)
SET_JOIN_CODE = statement(
    update(Class)
    .where(_ANY_CLASS)
    .values(_CHANGED)
    .values(join_code=bindparam("join_code"))
    .returning(*_CLASS),
    ClassRow,
)
ARCHIVE = statement(
    update(Class).where(_ANY_CLASS).values(_CHANGED).values(archived_at=func.now()).returning(*_CLASS),
    ClassRow,
)
UNARCHIVE = statement(
    update(Class).where(_ANY_CLASS).values(_CHANGED).values(archived_at=null()).returning(*_CLASS), ClassRow
)
DELETE = statement(
    update(Class)
    .where(_ANY_CLASS)
    .values(_CHANGED)
    .values(deleted_at=func.now(), deleted_by_user_id=bindparam("deleted_by_user_id"))
    .returning(*_CLASS),
    ClassRow,
)
UNDELETE = statement(
    update(Class)
    .where(_ANY_CLASS)
    .values(_CHANGED)
    .values(deleted_at=null(), deleted_by_user_id=null())
    .returning(*_CLASS),
    ClassRow,
)
# The lock makes one replica the only one that purges.
LEAD_PURGE = statement(select(func.pg_try_advisory_xact_lock(func.hashtext("class_purge"))), bool)
NEXT_TO_PURGE = statement(
    select(Class.class_id)
    .where(Class.deleted_at < func.now() - bindparam("kept_for", type_=Interval))
    .order_by(Class.deleted_at)
    .limit(1)
    .with_for_update(),
    str,
)
PURGE_JOIN_CODE = statement(
    delete(JoinCode).where(JoinCode.join_code == select(Class.join_code).where(_ANY_CLASS).scalar_subquery())
)
# By way of the memberships, for a person's classes are found by the person.
PURGE_BY_USER = statement(
    delete(UserClass).where(
        UserClass.user_id == Membership.user_id,
        UserClass.class_id == Membership.class_id,
        Membership.class_id == bindparam("class_id"),
    )
)
PURGE_MEMBERSHIPS = statement(delete(Membership).where(Membership.class_id == bindparam("class_id")))
PURGE_FROM_ROSTER = statement(delete(RosterClass).where(RosterClass.class_id == bindparam("class_id")))
PURGE = statement(delete(Class).where(_ANY_CLASS))


async def get(executor: Executor, class_id: str) -> ClassRow | None:
    """A class that is not deleted, or None."""
    return await executor.one(GET, class_id=class_id)


async def locked(transaction: Transaction, class_id: str) -> ClassRow | None:
    """A class, deleted or not, or None; nobody else changes it or who is in it until the transaction ends."""
    return await transaction.one(LOCKED, class_id=class_id)


async def add(transaction: Transaction, fields: ClassFields, join_code: str) -> ClassRow:
    """Adds a class that its join code opens."""
    row = await transaction.one(ADD, **fields._asdict(), join_code=join_code)
    assert row is not None
    await transaction.run(ADD_JOIN_CODE, join_code=join_code, class_id=row.class_id)
    return row


async def by_join_code(executor: Executor, join_code: str) -> str | None:
    """The id of the class that has a join code, or None."""
    return await executor.one(BY_JOIN_CODE, join_code=join_code)


async def of_user(
    executor: Executor, user_id: str, before: datetime, before_id: UUID, limit: int
) -> list[ClassOfUserRow]:
    """A person's classes, newest membership first, archived ones included."""
    return await executor.all(OF_USER, user_id=user_id, before=before, before_id=before_id, limit=limit)


async def listed(executor: Executor, before_id: UUID, limit: int, *, show_deleted: bool) -> list[ClassRow]:
    """All classes, newest first."""
    query = LISTED_WITH_DELETED if show_deleted else LISTED
    return await executor.all(query, before_id=before_id, limit=limit)


async def update_fields(transaction: Transaction, class_id: str, fields: ClassFields) -> ClassRow:
    """Replaces what is told of a class."""
    return await _changed(transaction, UPDATE, class_id, **fields._asdict())


async def replace_join_code(transaction: Transaction, row: ClassRow, join_code: str) -> ClassRow:
    """Gives a class another join code; the one before is unknown from then on."""
    await transaction.run(DROP_JOIN_CODE, join_code=row.join_code)
    await transaction.run(ADD_JOIN_CODE, join_code=join_code, class_id=row.class_id)
    return await _changed(transaction, SET_JOIN_CODE, row.class_id, join_code=join_code)


async def archive(transaction: Transaction, class_id: str) -> ClassRow:
    """Makes a class read-only."""
    return await _changed(transaction, ARCHIVE, class_id)


async def unarchive(transaction: Transaction, class_id: str) -> ClassRow:
    """Takes a class into use again."""
    return await _changed(transaction, UNARCHIVE, class_id)


async def mark_deleted(transaction: Transaction, class_id: str, by_user_id: str) -> ClassRow:
    """Deletes a class, for as long as nobody restores it."""
    return await _changed(transaction, DELETE, class_id, deleted_by_user_id=by_user_id)


async def restore(transaction: Transaction, class_id: str) -> ClassRow:
    """Undoes a deletion; a class that was archived still is."""
    return await _changed(transaction, UNDELETE, class_id)


async def leads_purge(transaction: Transaction) -> bool:
    """Whether nobody else purges until the transaction ends."""
    return await transaction.one(LEAD_PURGE) or False


async def next_to_purge(transaction: Transaction, kept_for: timedelta) -> str | None:
    """The class that was deleted first, and longer ago than this; nobody else restores it any more."""
    return await transaction.one(NEXT_TO_PURGE, kept_for=kept_for)


async def purge(transaction: Transaction, class_id: str) -> None:
    """Deletes every row of a class."""
    for part in (PURGE_JOIN_CODE, PURGE_BY_USER, PURGE_MEMBERSHIPS, PURGE_FROM_ROSTER, PURGE):
        await transaction.run(part, class_id=class_id)


async def _changed(
    transaction: Transaction, change: Statement[ClassRow], class_id: str, **values: object
) -> ClassRow:
    row = await transaction.one(change, class_id=class_id, **values)
    assert row is not None, "the caller has locked the class"
    return row
