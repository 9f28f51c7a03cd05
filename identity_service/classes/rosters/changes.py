"""SQL that applies a plan: each statement changes all of its rows at once."""

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
    Class,
    JoinCode,
    LoginIdentifier,
    Membership,
    RosterClass,
    RosterUser,
    User,
    UserClass,
)

_TYPES: dict[str, TypeEngine[Any]] = {"user_id": UUID(), "class_id": UUID(), "grade": SmallInteger()}


def _given(*names: str) -> TableValuedAlias:
    """The rows that a statement is given, each column as an array under its name."""
    arrays = (bindparam(name, type_=ARRAY(_TYPES.get(name, Text()))) for name in names)
    return func.unnest(*arrays).table_valued(*names, name="given").render_derived()


_new_user = _given("user_id", "name", "nickname", "role", "grade")
_identifier = _given("user_id", "kind", "value", "canonical")
_user = _given("sourced_id", "user_id")
_name = _given("user_id", "name")
_person = _given("user_id")
_new_class = _given("class_id", "title", "join_code")
_class = _given("sourced_id", "class_id")
_title = _given("class_id", "title")
_closed = _given("class_id")
_entry = _given("class_id", "user_id", "role", "sourced_id")
_place = _given("class_id", "user_id")
_CHANGED_USER: dict[str, Any] = {"version": User.version + 1, "updated_at": func.now()}
_CHANGED_CLASS: dict[str, Any] = {"version": Class.version + 1, "updated_at": func.now()}


def _membership(given: TableValuedAlias) -> tuple[Any, ...]:
    return (Membership.class_id == given.c.class_id, Membership.user_id == given.c.user_id)


def _by_user(given: TableValuedAlias) -> tuple[Any, ...]:
    return (UserClass.user_id == given.c.user_id, UserClass.class_id == given.c.class_id)


NEW_IDS = statement(select(func.uuidv7()).select_from(func.generate_series(1, bindparam("count"))), str)
ADD_USERS = statement(
    insert(User).from_select(
        ["user_id", "display_name", "full_name", "nickname", "role", "grade"],
        select(
            _new_user.c.user_id,
            _new_user.c.name,
            _new_user.c.name,
            _new_user.c.nickname,
            _new_user.c.role,
            _new_user.c.grade,
        ),
    )
)
# Silent where a value became somebody's meanwhile; the caller counts.
ADD_IDENTIFIERS = statement(
    upsert(LoginIdentifier)
    .from_select(
        ["user_id", "kind", "value", "canonical"],
        select(_identifier.c.user_id, _identifier.c.kind, _identifier.c.value, _identifier.c.canonical),
    )
    .on_conflict_do_nothing()
)
ADD_ROSTER_USERS = statement(
    insert(RosterUser).from_select(["sourced_id", "user_id"], select(_user.c.sourced_id, _user.c.user_id))
)
RENAME = statement(
    update(User)
    .where(User.user_id == _name.c.user_id)
    .values(
        full_name=_name.c.name,
        # What a person chose to be shown as stays.
        display_name=case((User.display_name == User.full_name, _name.c.name), else_=User.display_name),
    )
    .values(_CHANGED_USER)
)
PROMOTE = statement(
    update(User)
    .where(User.user_id == _person.c.user_id, or_(User.role == "UNASSIGNED", User.role == "STUDENT"))
    .values(role="TEACHER")
    .values(_CHANGED_USER)
)
ADD_CLASSES = statement(
    insert(Class).from_select(
        ["class_id", "title", "join_code", "join_policy"],
        select(_new_class.c.class_id, _new_class.c.title, _new_class.c.join_code, literal("CLOSED")),
    )
)
ADD_JOIN_CODES = statement(
    insert(JoinCode).from_select(
        ["join_code", "class_id"], select(_new_class.c.join_code, _new_class.c.class_id)
    )
)
ADD_ROSTER_CLASSES = statement(
    insert(RosterClass).from_select(
        ["sourced_id", "class_id"], select(_class.c.sourced_id, _class.c.class_id)
    )
)
RETITLE = statement(
    update(Class)
    .where(Class.class_id == _title.c.class_id)
    .values(title=_title.c.title)
    .values(_CHANGED_CLASS)
)
ARCHIVE = statement(
    update(Class)
    .where(Class.class_id == _closed.c.class_id)
    .values(archived_at=func.now())
    .values(_CHANGED_CLASS)
)
_ENTER = upsert(Membership).from_select(
    ["class_id", "user_id", "role", "roster_sourced_id"],
    select(_entry.c.class_id, _entry.c.user_id, _entry.c.role, _entry.c.sourced_id),
)
ENTER = statement(
    _ENTER.on_conflict_do_update(
        index_elements=["class_id", "user_id"],
        set_={
            "role": _ENTER.excluded.role,
            "status": "ACTIVE",
            "created_at": func.clock_timestamp(),
            "ended_at": null(),
            "ended_by_user_id": null(),
            "roster_sourced_id": _ENTER.excluded.roster_sourced_id,
        },
    )
)
ENTER_BY_USER = statement(
    insert(UserClass).from_select(
        ["class_id", "user_id", "role"], select(_entry.c.class_id, _entry.c.user_id, _entry.c.role)
    )
)
CHANGE = statement(
    update(Membership)
    .where(*_membership(_entry))
    .values(role=_entry.c.role, roster_sourced_id=_entry.c.sourced_id)
)
CHANGE_BY_USER = statement(update(UserClass).where(*_by_user(_entry)).values(role=_entry.c.role))
END = statement(
    update(Membership)
    .where(*_membership(_place))
    # Nobody put them out: whoever is in a later roster, or has the code, comes back.
    .values(status="LEFT", ended_at=func.now(), ended_by_user_id=bindparam("ended_by_user_id", type_=UUID()))
)
END_BY_USER = statement(delete(UserClass).where(*_by_user(_place)))


async def new_ids(transaction: Transaction, count: int) -> list[str]:
    """Ids for what is made."""
    return await transaction.all(NEW_IDS, count=count)


async def run(
    transaction: Transaction,
    change: Statement[Any],
    rows: Iterable[tuple[Any, ...]],
    *names: str,
    **values: Any,
) -> int:
    """Executes a change for rows with columns of these names; returns how many rows it touched."""
    columns = [*zip(*rows, strict=True)]
    if not columns:
        return 0
    arrays = {name: [*column] for name, column in zip(names, columns, strict=True)}
    return await transaction.run(change, **arrays, **values)
