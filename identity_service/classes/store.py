"""SQL of classes."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Interval, and_, bindparam, delete, func, insert, null, select, tuple_, update

from chassis.database import Executor, Statement, Transaction, columns, statement
from identity_service.classes.types import ClassFields, ClassRow, UserClassRow
from identity_service.tables import class_memberships, classes, join_codes, roster_classes, user_classes

_COLUMNS = columns(ClassRow, classes)
_BY_ID = classes.c.class_id == bindparam("class_id")
_FIELDS: dict[str, Any] = {name: bindparam(name) for name in ClassFields._fields}
_NEW_VERSION: dict[str, Any] = {"version": classes.c.version + 1, "updated_at": func.now()}
_TEACHER: dict[str, Any] = {
    "class_id": bindparam("class_id"),
    "user_id": bindparam("user_id"),
    "role": "TEACHER",
}
_LIST_ALL = (
    select(*_COLUMNS)
    .where(classes.c.class_id < bindparam("before_id"))
    # UUIDv7 ids ascend with the time of creation.
    .order_by(classes.c.class_id.desc())
    .limit(bindparam("limit"))
)
# A subquery for each class of the user: with a join, the planner scans all classes.
_is_active = (
    select(and_(classes.c.archived_at == null(), classes.c.deleted_at == null()))
    .where(classes.c.class_id == user_classes.c.class_id)
    .correlate(user_classes)
    .scalar_subquery()
)

GET = statement(select(*_COLUMNS).where(_BY_ID, classes.c.deleted_at == null()), ClassRow)
GET_FOR_UPDATE = statement(select(*_COLUMNS).where(_BY_ID).with_for_update(), ClassRow)
GET_ID_BY_JOIN_CODE = statement(
    select(join_codes.c.class_id).where(join_codes.c.join_code == bindparam("join_code")), str
)
LIST_BY_USER = statement(
    select(*_COLUMNS, user_classes.c.role, user_classes.c.created_at)
    .join(classes, classes.c.class_id == user_classes.c.class_id)
    .where(
        user_classes.c.user_id == bindparam("user_id"),
        classes.c.deleted_at == null(),
        tuple_(user_classes.c.created_at, user_classes.c.class_id)
        < tuple_(bindparam("before"), bindparam("before_id")),
    )
    .order_by(user_classes.c.created_at.desc(), user_classes.c.class_id.desc())
    .limit(bindparam("limit")),
    UserClassRow,
)
LIST_ALL = statement(_LIST_ALL.where(classes.c.deleted_at == null()), ClassRow)
LIST_ALL_WITH_DELETED = statement(_LIST_ALL, ClassRow)
COUNT_ACTIVE_BY_USER = statement(
    select(func.count().filter(_is_active)).where(user_classes.c.user_id == bindparam("user_id")), int
)
ADD = statement(
    insert(classes).values({**_FIELDS, "join_code": bindparam("join_code")}).returning(*_COLUMNS), ClassRow
)
ADD_JOIN_CODE = statement(
    insert(join_codes).values(join_code=bindparam("join_code"), class_id=bindparam("class_id"))
)
ADD_TEACHER = statement(insert(class_memberships).values(_TEACHER))
ADD_TEACHER_BY_USER = statement(insert(user_classes).values(_TEACHER))
UPDATE_FIELDS = statement(
    update(classes).where(_BY_ID).values(_FIELDS).values(_NEW_VERSION).returning(*_COLUMNS), ClassRow
)
DELETE_JOIN_CODE = statement(delete(join_codes).where(join_codes.c.join_code == bindparam("join_code")))
SET_JOIN_CODE = statement(
    update(classes)
    .where(_BY_ID)
    .values(_NEW_VERSION)
    .values(join_code=bindparam("join_code"))
    .returning(*_COLUMNS),
    ClassRow,
)
ARCHIVE = statement(
    update(classes).where(_BY_ID).values(_NEW_VERSION).values(archived_at=func.now()).returning(*_COLUMNS),
    ClassRow,
)
UNARCHIVE = statement(
    update(classes).where(_BY_ID).values(_NEW_VERSION).values(archived_at=null()).returning(*_COLUMNS),
    ClassRow,
)
MARK_DELETED = statement(
    update(classes)
    .where(_BY_ID)
    .values(_NEW_VERSION)
    .values(deleted_at=func.now(), deleted_by_user_id=bindparam("deleted_by_user_id"))
    .returning(*_COLUMNS),
    ClassRow,
)
UNDELETE = statement(
    update(classes)
    .where(_BY_ID)
    .values(_NEW_VERSION)
    .values(deleted_at=null(), deleted_by_user_id=null())
    .returning(*_COLUMNS),
    ClassRow,
)
TRY_LOCK_PURGE = statement(select(func.pg_try_advisory_xact_lock(func.hashtext("class_purge"))), bool)
NEXT_DELETED_CLASS = statement(
    select(classes.c.class_id)
    .where(classes.c.deleted_at < func.now() - bindparam("kept_for", type_=Interval))
    .order_by(classes.c.deleted_at)
    .limit(1)
    .with_for_update(),
    str,
)
PURGE_JOIN_CODE = statement(
    delete(join_codes).where(
        join_codes.c.join_code == select(classes.c.join_code).where(_BY_ID).scalar_subquery()
    )
)
# Through the memberships, because the key of `user_classes` begins with the user.
PURGE_MEMBERSHIPS_BY_USER = statement(
    delete(user_classes).where(
        user_classes.c.user_id == class_memberships.c.user_id,
        user_classes.c.class_id == class_memberships.c.class_id,
        class_memberships.c.class_id == bindparam("class_id"),
    )
)
PURGE_MEMBERSHIPS = statement(
    delete(class_memberships).where(class_memberships.c.class_id == bindparam("class_id"))
)
PURGE_ROSTER_CLASS = statement(
    delete(roster_classes).where(roster_classes.c.class_id == bindparam("class_id"))
)
PURGE = statement(delete(classes).where(_BY_ID))


async def get(executor: Executor, class_id: str) -> ClassRow | None:
    """Returns a class, or None if it is deleted or does not exist."""
    return await executor.one(GET, class_id=class_id)


async def get_for_update(transaction: Transaction, class_id: str) -> ClassRow | None:
    """Locks and returns a class, deleted or not, or None if it does not exist.

    Every change of a class or of its memberships takes this lock first.
    """
    return await transaction.one(GET_FOR_UPDATE, class_id=class_id)


async def get_id_by_join_code(executor: Executor, join_code: str) -> str | None:
    """Returns the id of the class that has the join code, or None."""
    return await executor.one(GET_ID_BY_JOIN_CODE, join_code=join_code)


async def list_by_user(
    executor: Executor, user_id: str, before: tuple[datetime, UUID], limit: int
) -> list[UserClassRow]:
    """Returns the active and archived classes of a user, newest membership first.

    `before` is the position after which the page begins: the time of a membership and its class.
    """
    return await executor.all(
        LIST_BY_USER, user_id=user_id, before=before[0], before_id=before[1], limit=limit
    )


async def list_all(executor: Executor, before_id: UUID, limit: int, *, show_deleted: bool) -> list[ClassRow]:
    """Returns the classes of the installation before an id, newest first."""
    query = LIST_ALL_WITH_DELETED if show_deleted else LIST_ALL
    return await executor.all(query, before_id=before_id, limit=limit)


async def count_active_by_user(executor: Executor, user_id: str) -> int:
    """Returns the number of active classes of a user."""
    return await executor.one(COUNT_ACTIVE_BY_USER, user_id=user_id) or 0


async def add(transaction: Transaction, fields: ClassFields, join_code: str, teacher_id: str) -> ClassRow:
    """Inserts a class with its join code and its first membership."""
    row = await transaction.one(ADD, **fields._asdict(), join_code=join_code)
    assert row is not None
    await transaction.run(ADD_JOIN_CODE, join_code=join_code, class_id=row.class_id)
    await transaction.run(ADD_TEACHER, class_id=row.class_id, user_id=teacher_id)
    await transaction.run(ADD_TEACHER_BY_USER, class_id=row.class_id, user_id=teacher_id)
    return row


async def update_fields(transaction: Transaction, class_id: str, fields: ClassFields) -> ClassRow:
    """Replaces the changeable fields of a class that the caller has locked."""
    return await _update(transaction, UPDATE_FIELDS, class_id, **fields._asdict())


async def replace_join_code(transaction: Transaction, row: ClassRow, join_code: str) -> ClassRow:
    """Replaces the join code of a class that the caller has locked."""
    await transaction.run(DELETE_JOIN_CODE, join_code=row.join_code)
    await transaction.run(ADD_JOIN_CODE, join_code=join_code, class_id=row.class_id)
    return await _update(transaction, SET_JOIN_CODE, row.class_id, join_code=join_code)


async def archive(transaction: Transaction, class_id: str) -> ClassRow:
    """Archives a class that the caller has locked."""
    return await _update(transaction, ARCHIVE, class_id)


async def unarchive(transaction: Transaction, class_id: str) -> ClassRow:
    """Makes a class active again that the caller has locked."""
    return await _update(transaction, UNARCHIVE, class_id)


async def mark_deleted(transaction: Transaction, class_id: str, by_user_id: str) -> ClassRow:
    """Marks a class as deleted that the caller has locked."""
    return await _update(transaction, MARK_DELETED, class_id, deleted_by_user_id=by_user_id)


async def undelete(transaction: Transaction, class_id: str) -> ClassRow:
    """Restores a deleted class that the caller has locked. An archived class stays archived."""
    return await _update(transaction, UNDELETE, class_id)


async def try_lock_purge(transaction: Transaction) -> bool:
    """Takes the purge lock until the transaction ends. Returns False if another replica has it."""
    return await transaction.one(TRY_LOCK_PURGE) or False


async def next_deleted_class(transaction: Transaction, kept_for: timedelta) -> str | None:
    """Locks and returns the class that was deleted first, or None if none was deleted `kept_for` ago."""
    return await transaction.one(NEXT_DELETED_CLASS, kept_for=kept_for)


async def purge(transaction: Transaction, class_id: str) -> None:
    """Deletes every row of a class."""
    for part in (
        PURGE_JOIN_CODE,
        PURGE_MEMBERSHIPS_BY_USER,
        PURGE_MEMBERSHIPS,
        PURGE_ROSTER_CLASS,
        PURGE,
    ):
        await transaction.run(part, class_id=class_id)


async def _update(
    transaction: Transaction, change: Statement[ClassRow], class_id: str, **values: object
) -> ClassRow:
    row = await transaction.one(change, class_id=class_id, **values)
    assert row is not None, "the caller has locked the class"
    return row
