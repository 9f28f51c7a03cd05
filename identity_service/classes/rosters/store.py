"""SQL that reads what a roster is compared with, and locks what it changes."""

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import ARRAY, Exists, Text, and_, bindparam, exists, func, null, select
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import aliased

from chassis.database import Executor, Transaction, statement
from identity_service.tables import (
    Class,
    LoginIdentifier,
    Membership,
    RosterClass,
    RosterUser,
    User,
    UserClass,
)


class PersonRow(NamedTuple):
    """Somebody who came by a roster before."""

    sourced_id: str
    user_id: str
    full_name: str
    role: str
    let_in: bool
    has_email: bool
    has_phone: bool


class OwnerRow(NamedTuple):
    """Whose a login name or an address is."""

    canonical: str
    proven: bool
    deleted: bool
    rostered: bool
    """Whether they came by a roster before."""
    user_id: str
    full_name: str
    role: str
    let_in: bool
    has_email: bool
    has_phone: bool


class KnownClassRow(NamedTuple):
    """A class that came by a roster before."""

    sourced_id: str
    class_id: str
    title: str
    archived: bool
    deleted: bool


class MemberRow(NamedTuple):
    """A member of such a class, however they came into it."""

    class_id: str
    user_id: str
    role: str
    sourced_id: str | None
    """The enrolment's, of those who came by a roster."""
    user_sourced_id: str | None
    let_in: bool


class HeldRow(NamedTuple):
    """In how many classes somebody is that are in use."""

    user_id: str
    classes: int


_ids = func.unnest(bindparam("ids", type_=ARRAY(UUID))).table_valued("id", name="given").render_derived()
_texts = (
    func.unnest(bindparam("texts", type_=ARRAY(Text))).table_valued("text", name="given").render_derived()
)


_OWN = aliased(LoginIdentifier)


def _has(kind: str) -> Exists:
    return exists().where(_OWN.user_id == User.user_id, _OWN.kind == kind)


_let_in = and_(User.deleted_at == null(), User.deactivated_at == null())
_PERSON = (User.user_id, User.full_name, User.role, _let_in, _has("EMAIL"), _has("PHONE"))
_rostered_as = (
    select(RosterUser.sourced_id)
    .where(RosterUser.user_id == Membership.user_id)
    .limit(1)
    .correlate(Membership)
    .scalar_subquery()
)

# One import at a time, on all replicas.
LOCK = statement(select(func.pg_advisory_xact_lock(func.hashtext("rosters"))))
LOCK_CLASSES = statement(
    select(Class.class_id)
    .join(_ids, Class.class_id == _ids.c.id)
    .order_by(Class.class_id)
    .with_for_update(of=Class),
    str,
)
LOCK_USERS = statement(
    select(User.user_id)
    .join(_ids, User.user_id == _ids.c.id)
    .order_by(User.user_id)
    .with_for_update(of=User),
    str,
)
PEOPLE = statement(
    select(RosterUser.sourced_id, *_PERSON)
    .join(_texts, RosterUser.sourced_id == _texts.c.text)
    .join(User, User.user_id == RosterUser.user_id),
    PersonRow,
)
OWNERS = statement(
    select(
        LoginIdentifier.canonical,
        LoginIdentifier.verified_at != null(),
        User.deleted_at != null(),
        exists().where(RosterUser.user_id == User.user_id),
        *_PERSON,
    )
    .join(_texts, LoginIdentifier.canonical == _texts.c.text)
    .join(User, User.user_id == LoginIdentifier.user_id),
    OwnerRow,
)
CLASSES = statement(
    select(
        RosterClass.sourced_id,
        RosterClass.class_id,
        Class.title,
        Class.archived_at != null(),
        Class.deleted_at != null(),
    )
    .join(Class, Class.class_id == RosterClass.class_id)
    .order_by(RosterClass.sourced_id),
    KnownClassRow,
)
MEMBERS = statement(
    select(
        Membership.class_id,
        Membership.user_id,
        Membership.role,
        Membership.roster_sourced_id,
        _rostered_as,
        _let_in,
    )
    .join(_ids, Membership.class_id == _ids.c.id)
    .join(User, User.user_id == Membership.user_id)
    .where(Membership.status == "ACTIVE")
    .order_by(Membership.class_id, Membership.user_id),
    MemberRow,
)
HELD = statement(
    select(UserClass.user_id, func.count())
    .join(_ids, UserClass.user_id == _ids.c.id)
    .join(Class, Class.class_id == UserClass.class_id)
    .where(Class.archived_at == null(), Class.deleted_at == null())
    .group_by(UserClass.user_id),
    HeldRow,
)


async def lock(transaction: Transaction) -> None:
    """Keeps others from importing a roster until the transaction ends."""
    await transaction.run(LOCK)


async def lock_classes(transaction: Transaction, class_ids: Collection[str]) -> None:
    """Keeps others from changing these classes and who is in them."""
    await transaction.all(LOCK_CLASSES, ids=[*class_ids])


async def lock_users(transaction: Transaction, user_ids: Collection[str]) -> None:
    """Keeps others from changing these people."""
    await transaction.all(LOCK_USERS, ids=[*user_ids])


async def people(executor: Executor, sourced_ids: Collection[str]) -> dict[str, PersonRow]:
    """Those who came by a roster before, by the name that they have in it."""
    return {row.sourced_id: row for row in await executor.all(PEOPLE, texts=[*sourced_ids])}


async def owners(executor: Executor, canonicals: Collection[str]) -> dict[str, OwnerRow]:
    """Whose these login names and addresses are, as they are compared."""
    return {row.canonical: row for row in await executor.all(OWNERS, texts=[*canonicals])}


async def classes(executor: Executor) -> dict[str, KnownClassRow]:
    """Every class that came by a roster before, by the name that it has in it."""
    return {row.sourced_id: row for row in await executor.all(CLASSES)}


async def members(executor: Executor, class_ids: Collection[str]) -> list[MemberRow]:
    """Who is in these classes."""
    return await executor.all(MEMBERS, ids=[*class_ids])


async def held(executor: Executor, user_ids: Collection[str]) -> dict[str, int]:
    """In how many classes each of these people is that are in use."""
    return {row.user_id: row.classes for row in await executor.all(HELD, ids=[*user_ids])}
