"""Validates the rows of a roster one by one, without the state of the installation."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import TypeVar

from chassis.errors import FieldInvalid
from chassis.names import trim
from chassis.validation import validate
from identity_service.classes.rosters.layout import (
    ACTIVE,
    BULK,
    CLASSES,
    DELTA,
    ENROLLMENTS,
    EXTENSION_ROLE_PREFIX,
    ROLE_NAMES,
    ROLES,
    TO_BE_DELETED,
    USERS,
)
from identity_service.classes.rosters.parse import Tables
from identity_service.classes.rosters.records import (
    ClassRecord,
    ColumnError,
    EnrollmentRecord,
    RoleRecord,
    Roster,
    RowError,
    UserRecord,
)
from identity_service.classes.rosters.table import Row
from identity_service.people.users.rules import default_display_name
from meno.access.v1.access_pb2 import GlobalRole
from meno.identity.v1.class_service_pb2 import CreateClassRequest
from meno.identity.v1.resources_pb2 import User
from meno.identity.v1.user_service_pb2 import CreateUserRequest

MAX_ID_LENGTH = 255

_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")
_GRADE = re.compile(r"0?[1-9]|1[0-2]")
_BOOLEANS = {"true": True, "false": False}
_CLASS_ROLES = {"student": "STUDENT", "teacher": "TEACHER"}

Record = TypeVar("Record", UserRecord, RoleRecord, ClassRecord, EnrollmentRecord)


def validate_tables(tables: Tables) -> Roster:
    """Returns the valid rows of a roster as records, and the invalid rows as errors."""
    errors: list[RowError] = []
    roles = _records(tables, ROLES, _role, errors)
    return Roster(
        digest=tables.digest,
        bulk_files=frozenset(file for file, mode in tables.modes.items() if mode == BULK),
        users=_records(tables, USERS, _user, errors),
        teachers={record.user_sourced_id: record for record in roles.values() if record.user_sourced_id},
        classes=_records(tables, CLASSES, _class, errors),
        enrollments=_records(tables, ENROLLMENTS, _enrollment, errors),
        errors=tuple(errors),
    )


def _records(
    tables: Tables, file: str, to_record: Callable[[Row, str], Record], errors: list[RowError]
) -> dict[str, Record]:
    if file not in tables.tables:
        return {}
    records: dict[str, Record] = {}
    for row in tables.tables[file].rows:
        sourced_id = row.cells.get("sourcedId", "")[:MAX_ID_LENGTH]
        try:
            _check_cells(row)
            if sourced_id in records:
                problem = f"must not be the same as in line {records[sourced_id].line}"
                raise ColumnError("sourcedId", problem)
            records[sourced_id] = to_record(row, tables.modes[file])
        except ColumnError as error:
            errors.append(RowError(file, row.line, sourced_id, error.column, error.problem))
    return records


def _check_cells(row: Row) -> None:
    if not row.well_formed:
        raise ColumnError("", "must have as many cells as the first line")
    for column, cell in row.cells.items():
        if _CONTROL_CHARACTER.search(cell):
            raise ColumnError(column, "must not contain control characters")
    if not 0 < len(row.cells["sourcedId"]) <= MAX_ID_LENGTH:
        raise ColumnError("sourcedId", f"must have 1 to {MAX_ID_LENGTH} characters")


def _is_active(row: Row, mode: str) -> bool:
    status = row.cells.get("status", "")
    if status not in (ACTIVE, TO_BE_DELETED) and (status or mode == DELTA):
        raise ColumnError("status", f"must be {ACTIVE} or {TO_BE_DELETED}")
    return status != TO_BE_DELETED


def _user(row: Row, mode: str) -> UserRecord:
    if not _is_active(row, mode):
        return UserRecord(row.line, row.cells["sourcedId"], active=False)
    enabled = _BOOLEANS.get(row.cells["enabledUser"].lower())
    if enabled is None:
        raise ColumnError("enabledUser", "must be true or false")
    if not enabled:
        return UserRecord(row.line, row.cells["sourcedId"], active=False)
    name = _name(row.cells)
    # In NFC, in which login names are judged and stored.
    login_name = unicodedata.normalize("NFC", row.cells["username"])
    email, phone = row.cells.get("email", ""), row.cells.get("phone", "")
    grade = row.cells.get("grades", "")
    problems = _user_problems(login_name, email, phone, name)
    if problem := problems.get("full_name") or problems.get("display_name"):
        raise ColumnError("givenName", f"and familyName form a name, which {problem}")
    if "email" in problems:
        raise ColumnError("email", problems["email"])
    # Many rosters contain addresses as user names, phone numbers in local formats, and lists of grades. They
    # do not make the row invalid, because the school often cannot change them.
    ignored = {"username": problems.get("login_name"), "phone": problems.get("phone")}
    if grade and not _GRADE.fullmatch(grade):
        ignored["grades"] = "must be one grade from 1 to 12"
    return UserRecord(
        line=row.line,
        sourced_id=row.cells["sourcedId"],
        active=True,
        name=name,
        login_name="" if ignored["username"] else login_name,
        phone="" if ignored["phone"] else phone,
        email=email,
        grade=int(grade) if grade and "grades" not in ignored else None,
        teaches=_check_role(row.cells.get("role") or "student") == "teacher",
        ignored=tuple(f"{column} {problem}" for column, problem in ignored.items() if problem),
    )


def _name(cells: Mapping[str, str]) -> str:
    """Returns the full name. Preferred names take precedence over the given and family name."""
    given = cells.get("preferredGivenName") or cells["givenName"]
    family = cells.get("preferredFamilyName") or cells["familyName"]
    name = trim(" ".join(f"{given} {family}".split()))
    if not name:
        raise ColumnError("givenName", "must not be empty if familyName is empty")
    return name


def _user_problems(login_name: str, email: str, phone: str, name: str) -> dict[str, str]:
    """Applies the rules of CreateUser, so that both ways to create a user have the same rules.

    `name` is the full name. Its display name may be shorter.
    """
    request = CreateUserRequest(
        login_name=login_name,
        email=email,
        phone=phone,
        display_name=default_display_name(name),
        role=GlobalRole.GLOBAL_ROLE_STUDENT,
    )
    return {**_problems(request), **_problems(User(full_name=name))}


def _role(row: Row, mode: str) -> RoleRecord:
    teaches = _is_active(row, mode) and _check_role(row.cells["role"]) == "teacher"
    if teaches and not row.cells["userSourcedId"]:
        raise ColumnError("userSourcedId", "must not be empty")
    return RoleRecord(row.line, row.cells["sourcedId"], row.cells["userSourcedId"] if teaches else "")


def _class(row: Row, mode: str) -> ClassRecord:
    if not _is_active(row, mode):
        return ClassRecord(row.line, row.cells["sourcedId"], active=False)
    title = trim(row.cells["title"])
    if problems := _problems(CreateClassRequest(title=title)):
        raise ColumnError("title", problems["title"])
    return ClassRecord(row.line, row.cells["sourcedId"], active=True, title=title)


def _enrollment(row: Row, mode: str) -> EnrollmentRecord:
    if not _is_active(row, mode):
        return EnrollmentRecord(row.line, row.cells["sourcedId"], active=False)
    for column in ("classSourcedId", "userSourcedId"):
        if not row.cells[column]:
            raise ColumnError(column, "must not be empty")
    return EnrollmentRecord(
        line=row.line,
        sourced_id=row.cells["sourcedId"],
        active=True,
        class_sourced_id=row.cells["classSourcedId"],
        user_sourced_id=row.cells["userSourcedId"],
        role=_CLASS_ROLES.get(_check_role(row.cells["role"])),
    )


def _check_role(role: str) -> str:
    if role not in ROLE_NAMES and not role.startswith(EXTENSION_ROLE_PREFIX):
        raise ColumnError("role", "must be a role of OneRoster, such as student or teacher")
    return role


def _problems(message: CreateUserRequest | User | CreateClassRequest) -> dict[str, str]:
    """Returns the fields that break a rule of the contract, with the rule."""
    try:
        validate(message)
    except FieldInvalid as error:
        [details] = error.details
        # Reversed, so that the first violation of each field is kept: it is the most general rule.
        violations = reversed(getattr(details, "field_violations", ()))
        return {one.field: one.description for one in violations}
    return {}
