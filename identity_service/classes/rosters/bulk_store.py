"""SQL that applies a plan. Each statement changes all of its rows at once."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    ARRAY,
    SmallInteger,
    TableValuedAlias,
    Text,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.types import TypeEngine

from chassis.database import Statement, Transaction, statement
from identity_service.tables import (
    class_memberships,
    classes,
    join_codes,
    login_identifiers,
    roster_classes,
    roster_users,
    user_classes,
    users,
)

_TYPES: dict[str, TypeEngine[Any]] = {"user_id": UUID(), "class_id": UUID(), "grade": SmallInteger()}


def _table(*names: str) -> TableValuedAlias:
    """Returns the parameters of a statement as a table. Each column is an array parameter of the same name."""
    arrays = (bindparam(name, type_=ARRAY(_TYPES.get(name, Text()))) for name in names)
    return func.unnest(*arrays).table_valued(*names, name="given").render_derived()


_NEW_USERS = _table("user_id", "name", "display_name", "nickname", "role", "grade")
_CLAIMS = _table("user_id", "canonical")
_IDENTIFIERS = _table("user_id", "kind", "value", "canonical")
_ROSTER_USERS = _table("sourced_id", "user_id")
_NAMES = _table("user_id", "name", "display_name", "previous_display_name")
_USERS = _table("user_id")
_NEW_CLASSES = _table("class_id", "title", "join_code")
_ROSTER_CLASSES = _table("sourced_id", "class_id")
_TITLES = _table("class_id", "title")
_CLASSES = _table("class_id")
_ENROLLMENTS = _table("class_id", "user_id", "role", "sourced_id")
_ENDED = _table("class_id", "user_id")
_NEW_USER_VERSION: dict[str, Any] = {"version": users.c.version + 1, "updated_at": func.now()}
_NEW_CLASS_VERSION: dict[str, Any] = {"version": classes.c.version + 1, "updated_at": func.now()}


def _is_membership(given: TableValuedAlias) -> tuple[Any, ...]:
    return (class_memberships.c.class_id == given.c.class_id, class_memberships.c.user_id == given.c.user_id)


def _is_user_class(given: TableValuedAlias) -> tuple[Any, ...]:
    return (user_classes.c.user_id == given.c.user_id, user_classes.c.class_id == given.c.class_id)


NEW_IDS = statement(select(func.uuidv7()).select_from(func.generate_series(1, bindparam("count"))), str)
ADD_USERS = statement(
    insert(users).from_select(
        ["user_id", "full_name", "display_name", "nickname", "role", "grade"],
        select(
            _NEW_USERS.c.user_id,
            _NEW_USERS.c.name,
            _NEW_USERS.c.display_name,
            _NEW_USERS.c.nickname,
            _NEW_USERS.c.role,
            _NEW_USERS.c.grade,
        ),
    )
)
RELEASE_CLAIMS = statement(
    delete(login_identifiers).where(
        login_identifiers.c.user_id == _CLAIMS.c.user_id, login_identifiers.c.canonical == _CLAIMS.c.canonical
    )
)
# Skips identifiers that another transaction has taken; the caller compares the number of rows.
ADD_IDENTIFIERS = statement(
    upsert(login_identifiers)
    .from_select(
        ["user_id", "kind", "value", "canonical"],
        select(_IDENTIFIERS.c.user_id, _IDENTIFIERS.c.kind, _IDENTIFIERS.c.value, _IDENTIFIERS.c.canonical),
    )
    .on_conflict_do_nothing()
)
ADD_ROSTER_USERS = statement(
    insert(roster_users).from_select(
        ["sourced_id", "user_id"], select(_ROSTER_USERS.c.sourced_id, _ROSTER_USERS.c.user_id)
    )
)
RENAME_USERS = statement(
    update(users)
    .where(users.c.user_id == _NAMES.c.user_id)
    .values(
        full_name=_NAMES.c.name,
        # The roster does not replace a display name that the user has chosen.
        display_name=case(
            (users.c.display_name == _NAMES.c.previous_display_name, _NAMES.c.display_name),
            else_=users.c.display_name,
        ),
    )
    .values(_NEW_USER_VERSION)
)
PROMOTE_USERS = statement(
    update(users)
    .where(users.c.user_id == _USERS.c.user_id, or_(users.c.role == "UNASSIGNED", users.c.role == "STUDENT"))
    .values(role="TEACHER")
    .values(_NEW_USER_VERSION)
)
ADD_CLASSES = statement(
    insert(classes).from_select(
        ["class_id", "title", "join_code", "join_policy"],
        select(_NEW_CLASSES.c.class_id, _NEW_CLASSES.c.title, _NEW_CLASSES.c.join_code, literal("CLOSED")),
    )
)
ADD_JOIN_CODES = statement(
    insert(join_codes).from_select(
        ["join_code", "class_id"], select(_NEW_CLASSES.c.join_code, _NEW_CLASSES.c.class_id)
    )
)
ADD_ROSTER_CLASSES = statement(
    insert(roster_classes).from_select(
        ["sourced_id", "class_id"], select(_ROSTER_CLASSES.c.sourced_id, _ROSTER_CLASSES.c.class_id)
    )
)
RENAME_CLASSES = statement(
    update(classes)
    .where(classes.c.class_id == _TITLES.c.class_id)
    .values(title=_TITLES.c.title)
    .values(_NEW_CLASS_VERSION)
)
ARCHIVE_CLASSES = statement(
    update(classes)
    .where(classes.c.class_id == _CLASSES.c.class_id)
    .values(archived_at=func.now())
    .values(_NEW_CLASS_VERSION)
)
_ADD_MEMBERSHIPS = upsert(class_memberships).from_select(
    ["class_id", "user_id", "role", "roster_sourced_id"],
    select(_ENROLLMENTS.c.class_id, _ENROLLMENTS.c.user_id, _ENROLLMENTS.c.role, _ENROLLMENTS.c.sourced_id),
)
ADD_MEMBERSHIPS = statement(
    _ADD_MEMBERSHIPS.on_conflict_do_update(
        index_elements=["class_id", "user_id"],
        set_={
            "role": _ADD_MEMBERSHIPS.excluded.role,
            "status": "ACTIVE",
            "created_at": func.clock_timestamp(),
            "ended_at": null(),
            "ended_by_user_id": null(),
            "roster_sourced_id": _ADD_MEMBERSHIPS.excluded.roster_sourced_id,
        },
    )
)
ADD_MEMBERSHIPS_BY_USER = statement(
    insert(user_classes).from_select(
        ["class_id", "user_id", "role"],
        select(_ENROLLMENTS.c.class_id, _ENROLLMENTS.c.user_id, _ENROLLMENTS.c.role),
    )
)
CHANGE_MEMBERSHIPS = statement(
    update(class_memberships)
    .where(*_is_membership(_ENROLLMENTS))
    .values(role=_ENROLLMENTS.c.role, roster_sourced_id=_ENROLLMENTS.c.sourced_id)
)
CHANGE_MEMBERSHIPS_BY_USER = statement(
    update(user_classes).where(*_is_user_class(_ENROLLMENTS)).values(role=_ENROLLMENTS.c.role)
)
END_MEMBERSHIPS = statement(
    update(class_memberships)
    .where(*_is_membership(_ENDED))
    # LEFT, not REMOVED, so that the user may rejoin by code or with a later roster.
    .values(status="LEFT", ended_at=func.now(), ended_by_user_id=bindparam("ended_by_user_id", type_=UUID()))
)
END_MEMBERSHIPS_BY_USER = statement(delete(user_classes).where(*_is_user_class(_ENDED)))


async def new_ids(transaction: Transaction, count: int) -> list[str]:
    """Returns new UUIDv7 ids."""
    return await transaction.all(NEW_IDS, count=count)


async def run(
    transaction: Transaction,
    change: Statement[Any],
    rows: Iterable[tuple[Any, ...]],
    *names: str,
    **values: Any,
) -> int:
    """Executes a statement for rows with columns of these names. Returns the number of changed rows."""
    columns = [*zip(*rows, strict=True)]
    if not columns:
        return 0
    arrays = {name: [*column] for name, column in zip(names, columns, strict=True)}
    return await transaction.run(change, **arrays, **values)
