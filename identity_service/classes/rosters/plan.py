"""The plan of an import: the effect of each row. A dry run returns it, an import applies it."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import NamedTuple

from identity_service.classes.rosters.layout import CLASSES, ENROLLMENTS, FILES, ROLES, USERS
from identity_service.classes.rosters.records import RowError, UserRecord

ADDED = "ADDED"
CHANGED = "CHANGED"
REMOVED = "REMOVED"
INVALID = "INVALID"
UNCHANGED = "UNCHANGED"

COUNTED_AS = {USERS: USERS, ROLES: USERS, CLASSES: CLASSES, ENROLLMENTS: ENROLLMENTS}
"""The file under which the rows of each file are counted."""

_NEW_KEY_PREFIX = "+"


class RowChange(NamedTuple):
    """The effect of a row."""

    change: str
    file: str
    line: int
    """0 for a row that the roster no longer contains."""
    sourced_id: str
    columns: tuple[str, ...] = ()
    problem: str = ""
    """The error of an invalid row. Otherwise the cells that are not imported, and the claims that end."""


class Enrollment(NamedTuple):
    """A user in a class. Each key is an id, or `new_key` for a user or class that is to be added."""

    class_key: str
    user_key: str


class NewEnrollment(NamedTuple):
    """A membership to add, or to change if `previous_role` is set."""

    enrollment: Enrollment
    role: str
    sourced_id: str
    previous_role: str = ""


class NewUser(NamedTuple):
    """A user to create."""

    sourced_id: str
    name: str
    """The full name."""
    role: str
    grade: int | None
    login_name: str
    email: str
    phone: str

    @classmethod
    def of(cls, record: UserRecord, *, role: str, login_name: str) -> "NewUser":
        """Returns the user of a record with this role and login name."""
        return cls(record.sourced_id, record.name, role, record.grade, login_name, record.email, record.phone)


class Claim(NamedTuple):
    """An address that a user has not verified."""

    user_id: str
    kind: str
    canonical: str


class RenamedUser(NamedTuple):
    """A user whose full name changes, and with it the display name, unless the user has chosen another one."""

    user_id: str
    name: str
    display_name: str
    previous_display_name: str


def new_key(sourced_id: str) -> str:
    """Returns the key of a user or class whose id does not exist until the plan is applied."""
    return _NEW_KEY_PREFIX + sourced_id


def is_new(key: str) -> bool:
    """Returns whether a key is one of `new_key`."""
    return key.startswith(_NEW_KEY_PREFIX)


@dataclass
class Plan:
    """The effect of every row, and the changes that follow from the rows."""

    changes: dict[tuple[str, str, int], RowChange] = field(default_factory=dict)
    """By file, `sourcedId` and line."""
    errors: dict[tuple[str, str, int], RowError] = field(default_factory=dict)
    """By file, `sourcedId` and line."""
    new_users: list[NewUser] = field(default_factory=list)
    matched_users: list[tuple[str, str]] = field(default_factory=list)
    """`sourcedId` and id of users that existed before a roster contained them."""
    renamed_users: list[RenamedUser] = field(default_factory=list)
    new_addresses: list[tuple[str, str, str]] = field(default_factory=list)
    """Id, kind and value, for users that have no address of this kind."""
    released_claims: list[Claim] = field(default_factory=list)
    """Unverified addresses that users lose, because the roster assigns them to others."""
    promoted_users: list[tuple[str, str]] = field(default_factory=list)
    """Id and previous role of users who become teachers."""
    new_classes: list[tuple[str, str]] = field(default_factory=list)
    """`sourcedId` and title."""
    renamed_classes: list[tuple[str, str]] = field(default_factory=list)
    """Id and new title."""
    archived_classes: list[str] = field(default_factory=list)
    """Ids."""
    added_enrollments: list[NewEnrollment] = field(default_factory=list)
    changed_enrollments: list[NewEnrollment] = field(default_factory=list)
    ended_enrollments: list[tuple[Enrollment, str]] = field(default_factory=list)
    """The enrolment and its role."""
    etag: str = ""
    """The `fingerprint` of the plan."""

    def add_change(
        self,
        change: str,
        file: str,
        line: int,
        sourced_id: str,
        columns: tuple[str, ...] = (),
        *,
        problem: str = "",
    ) -> None:
        """Stores the effect of a row."""
        self.changes[file, sourced_id, line] = RowChange(change, file, line, sourced_id, columns, problem)

    def add_error(self, error: RowError) -> None:
        """Stores that a row cannot be applied. `list_errors` returns only the first error of each row."""
        key = (error.file, error.sourced_id, error.line)
        self.errors.setdefault(key, error)
        columns = (error.column,) if error.column else ()
        self.changes[key] = RowChange(
            INVALID, error.file, error.line, error.sourced_id, columns, error.problem
        )

    def count_rows(self) -> Counter[tuple[str, str]]:
        """Returns the number of rows by file (`COUNTED_AS`) and change."""
        return Counter((COUNTED_AS[row.file], row.change) for row in self.changes.values())

    def list_changes(self) -> list[RowChange]:
        """Returns every row that is not unchanged: invalid rows first, then in the order of the files."""
        rows = [row for row in self.changes.values() if row.change != UNCHANGED]
        return sorted(
            rows, key=lambda row: (row.change != INVALID, FILES.index(row.file), row.line, row.sourced_id)
        )

    def list_errors(self) -> list[RowError]:
        """Returns the rows that cannot be applied, in the order of the files."""
        return sorted(self.errors.values(), key=lambda error: (FILES.index(error.file), error.line))

    def class_ids(self) -> set[str]:
        """Returns the ids of the existing classes that change or whose members change."""
        keys = {
            *(enrollment.class_key for enrollment in self._enrollments()),
            *self.archived_classes,
            *(class_id for class_id, _ in self.renamed_classes),
        }
        return {key for key in keys if not is_new(key)}

    def user_ids(self) -> set[str]:
        """Returns the ids of the existing users who change or whose memberships change."""
        keys = {
            *(user_id for _, user_id in self.matched_users),
            *(renamed.user_id for renamed in self.renamed_users),
            *(user_id for user_id, *_ in self.new_addresses),
            *(claim.user_id for claim in self.released_claims),
            *(user_id for user_id, _ in self.promoted_users),
            *(enrollment.user_key for enrollment in self._enrollments()),
        }
        return {key for key in keys if not is_new(key)}

    def fingerprint(self, archive_digest: bytes) -> str:
        """Returns a hash of the archive and of all changes of the plan."""
        digest = hashlib.sha256(archive_digest)
        for part in self._parts():
            digest.update(repr(part).encode())
        return digest.hexdigest()[:32]

    def _enrollments(self) -> Iterator[Enrollment]:
        for new in (*self.added_enrollments, *self.changed_enrollments):
            yield new.enrollment
        for enrollment, _ in self.ended_enrollments:
            yield enrollment

    def _parts(self) -> Iterator[object]:
        yield from self.list_changes()
        for one in fields(self):
            if one.name not in ("changes", "errors", "etag"):
                yield from (one.name, *getattr(self, one.name))
