"""SQL of memberships.

Those that give a right are stored twice, by class and by person, always in one transaction: a
class asks who is in it, a token asks what its person is in.
"""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import and_, bindparam, delete, exists, func, insert, null, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import aliased

from chassis.database import Executor, Transaction, statement
from identity_service.tables import Class, Membership, User, UserClass


class MembershipRow(NamedTuple):
    """A person's place in a class, now or before."""

    class_id: str
    user_id: str
    role: str
    status: str
    created_at: datetime
    roster_sourced_id: str | None
    display_name: str


_THE_MEMBERSHIP = (
    Membership.class_id == bindparam("class_id"),
    Membership.user_id == bindparam("user_id"),
)
_THE_CLASS_OF_THE_USER = (
    UserClass.user_id == bindparam("user_id"),
    UserClass.class_id == bindparam("class_id"),
)
_WITH_NAME = (
    select(
        Membership.class_id,
        Membership.user_id,
        Membership.role,
        Membership.status,
        Membership.created_at,
        Membership.roster_sourced_id,
        User.display_name,
    )
    .join(User, User.user_id == Membership.user_id)
    .where(User.deleted_at == null())
)
_NEW: dict[str, Any] = {
    "class_id": bindparam("class_id"),
    "user_id": bindparam("user_id"),
    "role": bindparam("role"),
}
_OTHER = aliased(Membership)

GET = statement(_WITH_NAME.where(*_THE_MEMBERSHIP), MembershipRow)
LISTED = statement(
    _WITH_NAME.where(
        Membership.class_id == bindparam("class_id"),
        Membership.status == bindparam("status"),
        tuple_(Membership.created_at, Membership.user_id) > tuple_(bindparam("after"), bindparam("after_id")),
    )
    .order_by(Membership.created_at, Membership.user_id)
    .limit(bindparam("limit")),
    MembershipRow,
)
# Class by class: a join makes a walk through all classes look cheap.
_in_use = (
    select(and_(Class.archived_at == null(), Class.deleted_at == null()))
    .where(Class.class_id == UserClass.class_id)
    .correlate(UserClass)
    .scalar_subquery()
)
IN_USE_COUNT = statement(
    select(func.count().filter(_in_use)).where(UserClass.user_id == bindparam("user_id")), int
)
GUEST = statement(select(User.guest).where(User.user_id == bindparam("user_id")), bool)
# Whoever takes a teacher away waits for who takes one away before them.
LOCK_TEACHERS = statement(select(func.pg_advisory_xact_lock(func.hashtext("teachers"))))
# The classes in use of which nobody else who is let in is a teacher.
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
    .order_by(Membership.class_id),
    str,
)
_PUT = upsert(Membership).values({**_NEW, "status": bindparam("status")})
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
PUT_BY_USER = statement(insert(UserClass).values(_NEW))
SET_ROLE = statement(update(Membership).where(*_THE_MEMBERSHIP).values(role=bindparam("role")))
SET_ROLE_BY_USER = statement(update(UserClass).where(*_THE_CLASS_OF_THE_USER).values(role=bindparam("role")))
END = statement(
    update(Membership)
    .where(*_THE_MEMBERSHIP)
    .values(status=bindparam("status"), ended_at=func.now(), ended_by_user_id=bindparam("ended_by_user_id"))
)
END_BY_USER = statement(delete(UserClass).where(*_THE_CLASS_OF_THE_USER))


async def get(executor: Executor, class_id: str, user_id: str) -> MembershipRow | None:
    """What became of a person in a class, or None for somebody who was never there, or is deleted."""
    return await executor.one(GET, class_id=class_id, user_id=user_id)


async def listed(
    executor: Executor, class_id: str, status: str, after: tuple[datetime, UUID], limit: int
) -> list[MembershipRow]:
    """Those who are in a class, or wait for it, in the order in which they came, after a time and an id."""
    return await executor.all(
        LISTED, class_id=class_id, status=status, after=after[0], after_id=after[1], limit=limit
    )


async def in_use_count(executor: Executor, user_id: str) -> int:
    """In how many classes a person is that are in use."""
    return await executor.one(IN_USE_COUNT, user_id=user_id) or 0


async def is_guest(executor: Executor, user_id: str) -> bool:
    """Whether a person is here for a look alone."""
    return await executor.one(GUEST, user_id=user_id) or False


async def lock_teachers(transaction: Transaction) -> None:
    """Keeps others from taking any teacher away until the transaction ends."""
    await transaction.run(LOCK_TEACHERS)


async def taught_alone(executor: Executor, user_id: str) -> list[str]:
    """The classes that would have no teacher without this person."""
    return await executor.all(TAUGHT_ALONE, user_id=user_id)


async def put(transaction: Transaction, class_id: str, user_id: str, role: str, status: str) -> None:
    """Makes a person a member, or has them wait; one who was a member before begins anew."""
    await transaction.run(PUT, class_id=class_id, user_id=user_id, role=role, status=status)
    if status == "ACTIVE":
        await transaction.run(PUT_BY_USER, class_id=class_id, user_id=user_id, role=role)


async def set_role(transaction: Transaction, class_id: str, user_id: str, role: str) -> None:
    """Changes what a member may do."""
    await transaction.run(SET_ROLE, class_id=class_id, user_id=user_id, role=role)
    await transaction.run(SET_ROLE_BY_USER, class_id=class_id, user_id=user_id, role=role)


async def end(transaction: Transaction, class_id: str, user_id: str, status: str, by_user_id: str) -> None:
    """Ends a membership, or a wait for one: `status` is LEFT, REMOVED or REJECTED."""
    await transaction.run(END, class_id=class_id, user_id=user_id, status=status, ended_by_user_id=by_user_id)
    await transaction.run(END_BY_USER, class_id=class_id, user_id=user_id)
