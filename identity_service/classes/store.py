"""SQL of classes and memberships.

Memberships are stored twice, by class and by person, always in one transaction: a class
asks who is in it, a token asks what its person is in.
"""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, delete, exists, func, insert, null, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import aliased

from chassis.database import Executor, Transaction, columns, statement
from identity_service.tables import Class, JoinCode, Membership, User, UserClass


class ClassRow(NamedTuple):
    """A class."""

    class_id: str
    title: str
    description: str
    join_code: str
    version: int
    created_at: datetime
    updated_at: datetime


class ClassOfUserRow(NamedTuple):
    """A class, and a person's place in it."""

    class_id: str
    title: str
    description: str
    join_code: str
    version: int
    created_at: datetime
    updated_at: datetime
    role: str
    joined_at: datetime


class MembershipRow(NamedTuple):
    """A person's place in a class."""

    class_id: str
    user_id: str
    role: str
    created_at: datetime
    display_name: str


class RoleRow(NamedTuple):
    """What a person may do in a class."""

    class_id: str
    role: str


_CLASS = columns(ClassRow, Class)
_THE_CLASS = (Class.class_id == bindparam("class_id"), Class.deleted_at == null())
_THE_MEMBERSHIP = (
    Membership.class_id == bindparam("class_id"),
    Membership.user_id == bindparam("user_id"),
    Membership.status == "ACTIVE",
)
_MEMBERSHIP = (
    Membership.class_id,
    Membership.user_id,
    Membership.role,
    Membership.created_at,
    User.display_name,
)
_WITH_NAME = select(*_MEMBERSHIP).join(User, User.user_id == Membership.user_id)
_NEW: dict[str, Any] = {
    "class_id": bindparam("class_id"),
    "user_id": bindparam("user_id"),
    "role": bindparam("role"),
}

GET = statement(select(*_CLASS).where(*_THE_CLASS), ClassRow)
LOCK = statement(select(Class.class_id).where(*_THE_CLASS).with_for_update(), str)
ADD = statement(
    insert(Class)
    .values({name: bindparam(name) for name in ("title", "description", "join_code")})
    .returning(*_CLASS),
    ClassRow,
)
ADD_JOIN_CODE = statement(
    insert(JoinCode).values(join_code=bindparam("join_code"), class_id=bindparam("class_id"))
)
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
ROLES = statement(
    select(UserClass.class_id, UserClass.role).where(UserClass.user_id == bindparam("user_id")), RoleRow
)
MEMBERSHIP = statement(_WITH_NAME.where(*_THE_MEMBERSHIP), MembershipRow)
MEMBERSHIPS = statement(
    _WITH_NAME.where(
        Membership.class_id == bindparam("class_id"),
        Membership.status == "ACTIVE",
        tuple_(Membership.created_at, Membership.user_id) > tuple_(bindparam("after"), bindparam("after_id")),
    )
    .order_by(Membership.created_at, Membership.user_id)
    .limit(bindparam("limit")),
    MembershipRow,
)
TEACHERS = statement(
    select(Membership.user_id).where(
        Membership.class_id == bindparam("class_id"),
        Membership.status == "ACTIVE",
        Membership.role == "TEACHER",
    ),
    str,
)
_OTHER = aliased(Membership)
# A class in use of which nobody else who is let in is a teacher.
TAUGHT_ALONE = statement(
    select(Membership.class_id)
    .join(Class, Class.class_id == Membership.class_id)
    .where(
        Membership.user_id == bindparam("user_id"),
        Membership.role == "TEACHER",
        Membership.status == "ACTIVE",
        Class.archived_at == null(),
        Class.deleted_at == null(),
        ~exists()
        .where(
            _OTHER.class_id == Membership.class_id,
            _OTHER.user_id != Membership.user_id,
            _OTHER.role == "TEACHER",
            _OTHER.status == "ACTIVE",
            User.user_id == _OTHER.user_id,
            User.deleted_at == null(),
            User.deactivated_at == null(),
        )
        .correlate(Membership),
    )
    .limit(1),
    str,
)
_JOINED = upsert(Membership).values(_NEW)
JOIN = statement(
    _JOINED.on_conflict_do_update(
        index_elements=["class_id", "user_id"],
        set_={
            "role": _JOINED.excluded.role,
            "status": "ACTIVE",
            "created_at": func.clock_timestamp(),
            "ended_at": null(),
            "ended_by_user_id": null(),
        },
        # Who was removed does not come back by themselves.
        where=Membership.status == "LEFT",
    )
)
JOIN_BY_USER = statement(insert(UserClass).values(_NEW))
SET_ROLE = statement(update(Membership).where(*_THE_MEMBERSHIP).values(role=bindparam("role")))
SET_ROLE_BY_USER = statement(
    update(UserClass)
    .where(UserClass.user_id == bindparam("user_id"), UserClass.class_id == bindparam("class_id"))
    .values(role=bindparam("role"))
)
END = statement(
    update(Membership)
    .where(*_THE_MEMBERSHIP)
    .values(status=bindparam("ending"), ended_at=func.now(), ended_by_user_id=bindparam("ended_by_user_id"))
)
END_BY_USER = statement(
    delete(UserClass).where(
        UserClass.user_id == bindparam("user_id"), UserClass.class_id == bindparam("class_id")
    )
)


async def get(executor: Executor, class_id: str) -> ClassRow | None:
    """A class, or None."""
    return await executor.one(GET, class_id=class_id)


async def lock(transaction: Transaction, class_id: str) -> bool:
    """Keeps others from changing the memberships of a class; False where there is no such class."""
    return await transaction.one(LOCK, class_id=class_id) is not None


async def add(transaction: Transaction, title: str, description: str, join_code: str) -> ClassRow:
    """Adds a class that its join code opens."""
    row = await transaction.one(ADD, title=title, description=description, join_code=join_code)
    assert row is not None
    await transaction.run(ADD_JOIN_CODE, join_code=join_code, class_id=row.class_id)
    return row


async def by_join_code(executor: Executor, join_code: str) -> str | None:
    """The id of the class that a join code opens, or None."""
    return await executor.one(BY_JOIN_CODE, join_code=join_code)


async def of_user(
    executor: Executor, user_id: str, before: datetime, before_id: UUID, limit: int
) -> list[ClassOfUserRow]:
    """A person's classes, newest membership first."""
    return await executor.all(OF_USER, user_id=user_id, before=before, before_id=before_id, limit=limit)


async def roles(executor: Executor, user_id: str) -> dict[str, str]:
    """Class id to class role of every class that a person is in."""
    return {row.class_id: row.role for row in await executor.all(ROLES, user_id=user_id)}


async def membership(executor: Executor, class_id: str, user_id: str) -> MembershipRow | None:
    """An active membership, or None."""
    return await executor.one(MEMBERSHIP, class_id=class_id, user_id=user_id)


async def memberships(
    executor: Executor, class_id: str, after: datetime, after_id: UUID, limit: int
) -> list[MembershipRow]:
    """The members of a class in the order in which they joined."""
    return await executor.all(MEMBERSHIPS, class_id=class_id, after=after, after_id=after_id, limit=limit)


async def teachers(executor: Executor, class_id: str) -> list[str]:
    """The ids of a class's teachers."""
    return await executor.all(TEACHERS, class_id=class_id)


async def taught_alone(executor: Executor, user_id: str) -> str | None:
    """A class that would have no teacher without this person, or None."""
    return await executor.one(TAUGHT_ALONE, user_id=user_id)


async def join(transaction: Transaction, class_id: str, user_id: str, role: str) -> None:
    """Makes a person a member; one who was a member before begins anew."""
    await transaction.run(JOIN, class_id=class_id, user_id=user_id, role=role)
    await transaction.run(JOIN_BY_USER, class_id=class_id, user_id=user_id, role=role)


async def set_role(transaction: Transaction, class_id: str, user_id: str, role: str) -> None:
    """Changes what a member may do."""
    await transaction.run(SET_ROLE, class_id=class_id, user_id=user_id, role=role)
    await transaction.run(SET_ROLE_BY_USER, class_id=class_id, user_id=user_id, role=role)


async def end(transaction: Transaction, class_id: str, user_id: str, ending: str, by: str) -> None:
    """Ends a membership: `ending` is LEFT or REMOVED, `by` who ended it."""
    await transaction.run(END, class_id=class_id, user_id=user_id, ending=ending, ended_by_user_id=by)
    await transaction.run(END_BY_USER, class_id=class_id, user_id=user_id)
