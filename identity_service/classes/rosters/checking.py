"""From tables to records: each row by itself, without regard to what is here already."""

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from chassis.errors import FieldInvalid
from chassis.validation import validate
from identity_service.classes.rosters.layout import (
    ACTIVE,
    BULK,
    CLASSES,
    DELTA,
    ENROLLMENTS,
    OWN_ROLE,
    ROLES,
    ROLES_OF_PEOPLE,
    TO_BE_DELETED,
    USERS,
)
from identity_service.classes.rosters.reading import Tables
from identity_service.classes.rosters.records import (
    ClassRecord,
    EnrollmentRecord,
    Fault,
    RoleRecord,
    Roster,
    UserRecord,
)
from identity_service.classes.rosters.table import Row
from meno.access.v1.access_pb2 import GlobalRole
from meno.identity.v1.class_service_pb2 import CreateClassRequest
from meno.identity.v1.user_service_pb2 import CreateUserRequest

MAX_ID = 255

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_GRADE = re.compile(r"0?[1-9]|1[0-2]")
_SHORTEST_LOGIN_NAME = 3
"""As the contract has it."""
_BOOLEANS = {"true": True, "false": False}
_CLASS_ROLES = {"student": "STUDENT", "teacher": "TEACHER"}

Record = TypeVar("Record", UserRecord, RoleRecord, ClassRecord, EnrollmentRecord)


class _Wrong(Exception):
    """A row cannot be applied because of one of its columns."""

    def __init__(self, column: str, problem: str) -> None:
        super().__init__(problem)
        self.column = column
        self.problem = problem


def check(tables: Tables) -> Roster:
    """The records of a roster, and the rows that make none."""
    faults: list[Fault] = []
    roles = _records(tables, ROLES, _role, faults)
    return Roster(
        digest=tables.digest,
        complete=frozenset(file for file, mode in tables.modes.items() if mode == BULK),
        users=_records(tables, USERS, _user, faults),
        teachers={record.user_sourced_id: record for record in roles.values() if record.user_sourced_id},
        classes=_records(tables, CLASSES, _class, faults),
        enrollments=_records(tables, ENROLLMENTS, _enrollment, faults),
        faults=tuple(faults),
    )


def _records(
    tables: Tables, file: str, make: Callable[[Row, str], Record], faults: list[Fault]
) -> dict[str, Record]:
    if file not in tables.tables:
        return {}
    records: dict[str, Record] = {}
    for row in tables.tables[file].rows:
        sourced_id = row.cells.get("sourcedId", "")[:MAX_ID]
        try:
            _check_cells(row)
            if sourced_id in records:
                raise _Wrong("sourcedId", f"is that of line {records[sourced_id].line} as well")
            records[sourced_id] = make(row, tables.modes[file])
        except _Wrong as wrong:
            faults.append(Fault(file, row.line, sourced_id, wrong.column, wrong.problem))
    return records


def _check_cells(row: Row) -> None:
    if not row.whole:
        raise _Wrong("", "has more or fewer cells than the first line names")
    for column, cell in row.cells.items():
        if _CONTROL.search(cell):
            raise _Wrong(column, "holds a control character")
    if not 0 < len(row.cells["sourcedId"]) <= MAX_ID:
        raise _Wrong("sourcedId", f"must have 1 to {MAX_ID} characters")


def _stays(row: Row, mode: str) -> bool:
    """Whether a row's subject is to be there."""
    status = row.cells.get("status", "")
    if status not in (ACTIVE, TO_BE_DELETED) and (status or mode == DELTA):
        raise _Wrong("status", f"must be {ACTIVE} or {TO_BE_DELETED}")
    return status != TO_BE_DELETED


def _user(row: Row, mode: str) -> UserRecord:
    if not _stays(row, mode):
        return UserRecord(row.line, row.cells["sourcedId"], stays=False)
    enabled = _BOOLEANS.get(row.cells["enabledUser"].lower())
    if enabled is None:
        raise _Wrong("enabledUser", "must be true or false")
    if not enabled:
        return UserRecord(row.line, row.cells["sourcedId"], stays=False)
    name = _name(row.cells)
    login_name, email, phone = row.cells["username"], row.cells.get("email", ""), row.cells.get("phone", "")
    broken = _broken_rules(login_name, email, phone, name)
    if "display_name" in broken:
        raise _Wrong("givenName", f"makes a name that {broken['display_name']}")
    if "email" in broken:
        raise _Wrong("email", broken["email"])
    # Rosters hold names in any form, such as addresses, but one that is too short was meant for one.
    if 0 < len(login_name) < _SHORTEST_LOGIN_NAME and "login_name" in broken:
        raise _Wrong("username", broken["login_name"])
    return UserRecord(
        line=row.line,
        sourced_id=row.cells["sourcedId"],
        stays=True,
        name=name,
        login_name="" if "login_name" in broken else login_name,
        # Rosters hold numbers in any form, of which one is a number that can be called from anywhere.
        phone="" if "phone" in broken else phone,
        email=email,
        grade=int(row.cells.get("grades", "")) if _GRADE.fullmatch(row.cells.get("grades", "")) else None,
        teaches=_known_role(row.cells.get("role") or "student") == "teacher",
    )


def _name(cells: Mapping[str, str]) -> str:
    """What a person is called: the names that they prefer before those that they were given."""
    given = cells.get("preferredGivenName") or cells["givenName"]
    family = cells.get("preferredFamilyName") or cells["familyName"]
    name = " ".join(f"{given} {family}".split())
    if not name:
        raise _Wrong("givenName", "is empty, and so is the family name")
    return name


def _broken_rules(login_name: str, email: str, phone: str, name: str) -> dict[str, str]:
    """What holds for whom an administrator makes holds for whom a roster makes: the fields that break a rule."""
    wished = CreateUserRequest(
        login_name=login_name,
        email=email,
        phone=phone,
        display_name=name,
        role=GlobalRole.GLOBAL_ROLE_STUDENT,
    )
    return _broken(wished)


def _role(row: Row, mode: str) -> RoleRecord:
    teaches = _stays(row, mode) and _known_role(row.cells["role"]) == "teacher"
    if teaches and not row.cells["userSourcedId"]:
        raise _Wrong("userSourcedId", "is empty")
    return RoleRecord(row.line, row.cells["sourcedId"], row.cells["userSourcedId"] if teaches else "")


def _class(row: Row, mode: str) -> ClassRecord:
    if not _stays(row, mode):
        return ClassRecord(row.line, row.cells["sourcedId"], stays=False)
    title = row.cells["title"]
    if broken := _broken(CreateClassRequest(title=title)):
        raise _Wrong("title", broken["title"])
    return ClassRecord(row.line, row.cells["sourcedId"], stays=True, title=title)


def _enrollment(row: Row, mode: str) -> EnrollmentRecord:
    if not _stays(row, mode):
        return EnrollmentRecord(row.line, row.cells["sourcedId"], stays=False)
    for column in ("classSourcedId", "userSourcedId"):
        if not row.cells[column]:
            raise _Wrong(column, "is empty")
    return EnrollmentRecord(
        line=row.line,
        sourced_id=row.cells["sourcedId"],
        stays=True,
        class_sourced_id=row.cells["classSourcedId"],
        user_sourced_id=row.cells["userSourcedId"],
        role=_CLASS_ROLES.get(_known_role(row.cells["role"])),
    )


def _known_role(role: str) -> str:
    if role not in ROLES_OF_PEOPLE and not role.startswith(OWN_ROLE):
        raise _Wrong("role", "must be a role of OneRoster, such as student or teacher")
    return role


def _broken(message: CreateUserRequest | CreateClassRequest) -> dict[str, str]:
    """The fields of a message that break a rule of the contract, and what the rule is."""
    try:
        validate(message)
    except FieldInvalid as error:
        [found] = error.details
        # The first rule of a field that is broken is the plainest.
        violations = reversed(getattr(found, "field_violations", ()))
        return {one.field: one.description for one in violations}
    return {}
