"""SQL that reads the state that a roster is compared with, and locks the rows that it changes."""

from collections.abc import Collection

from sqlalchemy import ARRAY, Exists, Text, and_, bindparam, exists, func, null, select
from sqlalchemy.dialects.postgresql import UUID

from chassis.database import Executor, Transaction, statement
from identity_service.classes.rosters.types import (
    ClassCountRow,
    IdentifierOwnerRow,
    MemberRow,
    RosterClassRow,
    RosterUserRow,
)
from identity_service.people.users.store import IS_USED
from identity_service.tables import (
    class_memberships,
    classes,
    login_identifiers,
    roster_classes,
    roster_users,
    user_classes,
    users,
)

_ids = func.unnest(bindparam("ids", type_=ARRAY(UUID))).table_valued("id", name="given").render_derived()
_texts = (
    func.unnest(bindparam("texts", type_=ARRAY(Text))).table_valued("text", name="given").render_derived()
)


_IDENTIFIER = login_identifiers.alias()


def _has_identifier(kind: str) -> Exists:
    return exists().where(_IDENTIFIER.c.user_id == users.c.user_id, _IDENTIFIER.c.kind == kind)


_active = and_(users.c.deleted_at == null(), users.c.deactivated_at == null())
_USER = (
    users.c.user_id,
    users.c.full_name,
    users.c.role,
    _active,
    _has_identifier("EMAIL"),
    _has_identifier("PHONE"),
)
_user_sourced_id = (
    select(roster_users.c.sourced_id)
    .where(roster_users.c.user_id == class_memberships.c.user_id)
    .limit(1)
    .correlate(class_memberships)
    .scalar_subquery()
)

# One import at a time on all replicas. An import may lock more classes after it has locked users, so two
# imports could deadlock.
LOCK_IMPORTS = statement(select(func.pg_advisory_xact_lock(func.hashtext("rosters"))))
LOCK_CLASSES = statement(
    select(classes.c.class_id)
    .join(_ids, classes.c.class_id == _ids.c.id)
    .order_by(classes.c.class_id)
    .with_for_update(of=classes),
    str,
)
LOCK_USERS = statement(
    select(users.c.user_id)
    .join(_ids, users.c.user_id == _ids.c.id)
    .order_by(users.c.user_id)
    .with_for_update(of=users),
    str,
)
LIST_USERS = statement(
    select(roster_users.c.sourced_id, *_USER)
    .join(_texts, roster_users.c.sourced_id == _texts.c.text)
    .join(users, users.c.user_id == roster_users.c.user_id),
    RosterUserRow,
)
LIST_IDENTIFIER_OWNERS = statement(
    select(
        login_identifiers.c.canonical,
        login_identifiers.c.verified_at != null(),
        users.c.deleted_at != null(),
        IS_USED,
        exists().where(roster_users.c.user_id == users.c.user_id),
        *_USER,
    )
    .join(_texts, login_identifiers.c.canonical == _texts.c.text)
    .join(users, users.c.user_id == login_identifiers.c.user_id),
    IdentifierOwnerRow,
)
LIST_CLASSES = statement(
    select(
        roster_classes.c.sourced_id,
        roster_classes.c.class_id,
        classes.c.title,
        classes.c.archived_at != null(),
        classes.c.deleted_at != null(),
    )
    .join(classes, classes.c.class_id == roster_classes.c.class_id)
    .order_by(roster_classes.c.sourced_id),
    RosterClassRow,
)
LIST_MEMBERS = statement(
    select(
        class_memberships.c.class_id,
        class_memberships.c.user_id,
        class_memberships.c.role,
        class_memberships.c.roster_sourced_id,
        _user_sourced_id,
        _active,
    )
    .join(_ids, class_memberships.c.class_id == _ids.c.id)
    .join(users, users.c.user_id == class_memberships.c.user_id)
    .where(class_memberships.c.status == "ACTIVE")
    .order_by(class_memberships.c.class_id, class_memberships.c.user_id),
    MemberRow,
)
COUNT_CLASSES = statement(
    select(user_classes.c.user_id, func.count())
    .join(_ids, user_classes.c.user_id == _ids.c.id)
    .join(classes, classes.c.class_id == user_classes.c.class_id)
    .where(classes.c.archived_at == null(), classes.c.deleted_at == null())
    .group_by(user_classes.c.user_id),
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
