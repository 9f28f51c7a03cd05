"""SQL of memberships.

Active memberships are stored twice, by class and by user, always in one transaction. A class lists its
members from the first table; a token lists the classes of its user from the second.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, exists, func, insert, null, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert

from chassis.database import Executor, Transaction, statement
from identity_service.classes.memberships.types import MembershipRow
from identity_service.tables import class_memberships, classes, user_classes, users

_BY_ID = (
    class_memberships.c.class_id == bindparam("class_id"),
    class_memberships.c.user_id == bindparam("user_id"),
)
_BY_USER_AND_CLASS = (
    user_classes.c.user_id == bindparam("user_id"),
    user_classes.c.class_id == bindparam("class_id"),
)
_WITH_NAME = (
    select(
        class_memberships.c.class_id,
        class_memberships.c.user_id,
        class_memberships.c.role,
        class_memberships.c.status,
        class_memberships.c.created_at,
        class_memberships.c.roster_sourced_id,
        users.c.display_name,
        users.c.role.label("global_role"),
    )
    .join(users, users.c.user_id == class_memberships.c.user_id)
    .where(users.c.deleted_at == null())
)
_NEW: dict[str, Any] = {
    "class_id": bindparam("class_id"),
    "user_id": bindparam("user_id"),
    "role": bindparam("role"),
}
_OTHER = class_memberships.alias()

GET = statement(_WITH_NAME.where(*_BY_ID), MembershipRow)
LIST_BY_CLASS = statement(
    _WITH_NAME.where(
        class_memberships.c.class_id == bindparam("class_id"),
        class_memberships.c.status == bindparam("status"),
        tuple_(class_memberships.c.created_at, class_memberships.c.user_id)
        > tuple_(bindparam("after"), bindparam("after_id")),
    )
    .order_by(class_memberships.c.created_at, class_memberships.c.user_id)
    .limit(bindparam("limit")),
    MembershipRow,
)
IS_GUEST = statement(select(users.c.guest).where(users.c.user_id == bindparam("user_id")), bool)
# One lock for all classes: two teachers who leave the same class at the same time must not both succeed.
LOCK_TEACHERS = statement(select(func.pg_advisory_xact_lock(func.hashtext("teachers"))))
# The active classes that the user teaches and that have no other active teacher.
CLASSES_WITH_SINGLE_TEACHER = statement(
    select(class_memberships.c.class_id)
    .join(classes, classes.c.class_id == class_memberships.c.class_id)
    .where(
        class_memberships.c.user_id == bindparam("user_id"),
        class_memberships.c.role == "TEACHER",
        class_memberships.c.status == "ACTIVE",
        classes.c.archived_at == null(),
        classes.c.deleted_at == null(),
        ~exists()
        .where(
            _OTHER.c.class_id == class_memberships.c.class_id,
            _OTHER.c.user_id != class_memberships.c.user_id,
            _OTHER.c.role == "TEACHER",
            _OTHER.c.status == "ACTIVE",
            users.c.user_id == _OTHER.c.user_id,
            users.c.deleted_at == null(),
            users.c.deactivated_at == null(),
        )
        .correlate(class_memberships),
    )
    .order_by(class_memberships.c.class_id),
    str,
)
_PUT = upsert(class_memberships).values({**_NEW, "status": bindparam("status")})
PUT = statement(
    _PUT.on_conflict_do_update(
        index_elements=["class_id", "user_id"],
        set_={
            "role": _PUT.excluded.role,
            "status": _PUT.excluded.status,
            "created_at": func.clock_timestamp(),
            "ended_at": null(),
            "ended_by_user_id": null(),
            "roster_sourced_id": null(),
        },
    )
)
PUT_BY_USER = statement(insert(user_classes).values(_NEW))
SET_ROLE = statement(update(class_memberships).where(*_BY_ID).values(role=bindparam("role")))
SET_ROLE_BY_USER = statement(update(user_classes).where(*_BY_USER_AND_CLASS).values(role=bindparam("role")))
END = statement(
    update(class_memberships)
    .where(*_BY_ID)
    .values(status=bindparam("status"), ended_at=func.now(), ended_by_user_id=bindparam("ended_by_user_id"))
)
END_BY_USER = statement(delete(user_classes).where(*_BY_USER_AND_CLASS))


async def get(executor: Executor, class_id: str, user_id: str) -> MembershipRow | None:
    """Returns a membership in any status, or None if there is none or if the user is deleted."""
    return await executor.one(GET, class_id=class_id, user_id=user_id)


async def list_by_class(
    executor: Executor, class_id: str, status: str, after: tuple[datetime, UUID], limit: int
) -> list[MembershipRow]:
    """Returns the memberships of a class that have this status, oldest first.

    `after` is the position after which the page begins: the time of a membership and its user.
    """
    return await executor.all(
        LIST_BY_CLASS, class_id=class_id, status=status, after=after[0], after_id=after[1], limit=limit
    )


async def is_guest(executor: Executor, user_id: str) -> bool:
    """Returns whether a user is a guest."""
    return await executor.one(IS_GUEST, user_id=user_id) or False


async def lock_teachers(transaction: Transaction) -> None:
    """Waits until no other transaction may take a teacher away, and keeps the lock until this one ends."""
    await transaction.run(LOCK_TEACHERS)


async def list_classes_with_single_teacher(executor: Executor, user_id: str) -> list[str]:
    """Returns the ids of the active classes that would have no active teacher without this user."""
    return await executor.all(CLASSES_WITH_SINGLE_TEACHER, user_id=user_id)


async def put(transaction: Transaction, class_id: str, user_id: str, role: str, status: str) -> None:
    """Inserts a membership, or replaces one that has ended or is pending. `status` is ACTIVE or PENDING."""
    await transaction.run(PUT, class_id=class_id, user_id=user_id, role=role, status=status)
    if status == "ACTIVE":
        await transaction.run(PUT_BY_USER, class_id=class_id, user_id=user_id, role=role)


async def set_role(transaction: Transaction, class_id: str, user_id: str, role: str) -> None:
    """Changes the class role of a member."""
    await transaction.run(SET_ROLE, class_id=class_id, user_id=user_id, role=role)
    await transaction.run(SET_ROLE_BY_USER, class_id=class_id, user_id=user_id, role=role)


async def end(transaction: Transaction, class_id: str, user_id: str, status: str, by_user_id: str) -> None:
    """Ends a membership. `status` is LEFT, REMOVED or REJECTED."""
    await transaction.run(END, class_id=class_id, user_id=user_id, status=status, ended_by_user_id=by_user_id)
    await transaction.run(END_BY_USER, class_id=class_id, user_id=user_id)
