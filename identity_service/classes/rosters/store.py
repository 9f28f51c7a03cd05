"""SQL that reads the state that a roster is compared with, and locks the rows that it changes."""

from collections.abc import Collection

from sqlalchemy import ARRAY, Exists, Text, and_, bindparam, exists, func, null, select
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import aliased

from chassis.database import Executor, Transaction, statement
from identity_service.classes.rosters.types import (
    ClassCountRow,
    IdentifierOwnerRow,
    MemberRow,
    RosterClassRow,
    RosterUserRow,
)
from identity_service.tables import (
    Class,
    LoginIdentifier,
    Membership,
    RosterClass,
    RosterUser,
    User,
    UserClass,
)

_ids = func.unnest(bindparam("ids", type_=ARRAY(UUID))).table_valued("id", name="given").render_derived()
_texts = (
    func.unnest(bindparam("texts", type_=ARRAY(Text))).table_valued("text", name="given").render_derived()
)


_IDENTIFIER = aliased(LoginIdentifier)


def _has_identifier(kind: str) -> Exists:
    return exists().where(_IDENTIFIER.user_id == User.user_id, _IDENTIFIER.kind == kind)


_active = and_(User.deleted_at == null(), User.deactivated_at == null())
_USER = (User.user_id, User.full_name, User.role, _active, _has_identifier("EMAIL"), _has_identifier("PHONE"))
_user_sourced_id = (
    select(RosterUser.sourced_id)
    .where(RosterUser.user_id == Membership.user_id)
    .limit(1)
    .correlate(Membership)
    .scalar_subquery()
)

# One import at a time on all replicas. An import may lock more classes after it has locked users, so two
# imports could deadlock.
LOCK_IMPORTS = statement(select(func.pg_advisory_xact_lock(func.hashtext("rosters"))))
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
LIST_USERS = statement(
    select(RosterUser.sourced_id, *_USER)
    .join(_texts, RosterUser.sourced_id == _texts.c.text)
    .join(User, User.user_id == RosterUser.user_id),
    RosterUserRow,
)
LIST_IDENTIFIER_OWNERS = statement(
    select(
        LoginIdentifier.canonical,
        LoginIdentifier.verified_at != null(),
        User.deleted_at != null(),
        exists().where(RosterUser.user_id == User.user_id),
        *_USER,
    )
    .join(_texts, LoginIdentifier.canonical == _texts.c.text)
    .join(User, User.user_id == LoginIdentifier.user_id),
    IdentifierOwnerRow,
)
LIST_CLASSES = statement(
    select(
        RosterClass.sourced_id,
        RosterClass.class_id,
        Class.title,
        Class.archived_at != null(),
        Class.deleted_at != null(),
    )
    .join(Class, Class.class_id == RosterClass.class_id)
    .order_by(RosterClass.sourced_id),
    RosterClassRow,
)
LIST_MEMBERS = statement(
    select(
        Membership.class_id,
        Membership.user_id,
        Membership.role,
        Membership.roster_sourced_id,
        _user_sourced_id,
        _active,
    )
    .join(_ids, Membership.class_id == _ids.c.id)
    .join(User, User.user_id == Membership.user_id)
    .where(Membership.status == "ACTIVE")
    .order_by(Membership.class_id, Membership.user_id),
    MemberRow,
)
COUNT_CLASSES = statement(
    select(UserClass.user_id, func.count())
    .join(_ids, UserClass.user_id == _ids.c.id)
    .join(Class, Class.class_id == UserClass.class_id)
    .where(Class.archived_at == null(), Class.deleted_at == null())
    .group_by(UserClass.user_id),
    ClassCountRow,
)


async def lock_imports(transaction: Transaction) -> None:
    """Waits until no other import is running, and keeps the lock until the transaction ends."""
    await transaction.run(LOCK_IMPORTS)


async def lock_classes(transaction: Transaction, class_ids: Collection[str]) -> None:
    """Locks classes and their memberships until the transaction ends."""
    await transaction.all(LOCK_CLASSES, ids=[*class_ids])


async def lock_users(transaction: Transaction, user_ids: Collection[str]) -> None:
    """Locks users until the transaction ends."""
    await transaction.all(LOCK_USERS, ids=[*user_ids])


async def list_users(executor: Executor, sourced_ids: Collection[str]) -> dict[str, RosterUserRow]:
    """Returns the users of earlier rosters that have these ids, by `sourcedId`."""
    return {row.sourced_id: row for row in await executor.all(LIST_USERS, texts=[*sourced_ids])}


async def list_identifier_owners(
    executor: Executor, canonicals: Collection[str]
) -> dict[str, IdentifierOwnerRow]:
    """Returns the owners of login identifiers, by identifier in the form in which it is compared."""
    return {row.canonical: row for row in await executor.all(LIST_IDENTIFIER_OWNERS, texts=[*canonicals])}


async def list_classes(executor: Executor) -> dict[str, RosterClassRow]:
    """Returns all classes of earlier rosters, by `sourcedId`."""
    return {row.sourced_id: row for row in await executor.all(LIST_CLASSES)}


async def list_members(executor: Executor, class_ids: Collection[str]) -> list[MemberRow]:
    """Returns the active members of these classes."""
    return await executor.all(LIST_MEMBERS, ids=[*class_ids])


async def count_classes(executor: Executor, user_ids: Collection[str]) -> dict[str, int]:
    """Returns the number of active classes of each of these users, by user id."""
    return {row.user_id: row.classes for row in await executor.all(COUNT_CLASSES, ids=[*user_ids])}
