"""The rows of a roster: the valid ones as records, the others as errors."""

from collections.abc import Mapping
from typing import NamedTuple


class UserRecord(NamedTuple):
    """A row of `users.csv`."""

    line: int
    sourced_id: str
    active: bool
    """Whether the user is to have memberships. If not, the fields below are not read."""
    name: str = ""
    """The full name."""
    login_name: str = ""
    email: str = ""
    phone: str = ""
    grade: int | None = None
    teaches: bool = False
    ignored: tuple[str, ...] = ()
    """The cells that an account cannot have, each as its column with the rule. Their fields are empty."""


class RoleRecord(NamedTuple):
    """A row of `roles.csv`."""

    line: int
    sourced_id: str
    user_sourced_id: str
    """Empty if the role is not that of a teacher."""


class ClassRecord(NamedTuple):
    """A row of `classes.csv`."""

    line: int
    sourced_id: str
    active: bool
    title: str = ""


class EnrollmentRecord(NamedTuple):
    """A row of `enrollments.csv`."""

    line: int
    sourced_id: str
    active: bool
    class_sourced_id: str = ""
    user_sourced_id: str = ""
    role: str | None = None
    """STUDENT or TEACHER; None for other roles, which give no membership."""


class RowError(NamedTuple):
    """A row that cannot be applied."""

    file: str
    line: int
    sourced_id: str
    column: str
    problem: str
    """The rule that the column breaks, and the remedy."""

    @property
    def path(self) -> str:
        """The path of the row in a field violation: `users.csv[12].email`."""
        return f"{self.file}[{self.line}]" + (f".{self.column}" if self.column else "")


class ColumnError(Exception):
    """A row cannot be applied because of one of its columns, or as a whole if `column` is empty."""

    def __init__(self, column: str, problem: str) -> None:
        super().__init__(problem)
        self.column = column
        self.problem = problem


class Roster(NamedTuple):
    """The content of an archive. The mappings are by `sourcedId`."""

    digest: bytes
    """SHA-256 of the archive."""
    bulk_files: frozenset[str]
    """The files that are complete: a row that such a file no longer contains is removed."""
    users: Mapping[str, UserRecord]
    teachers: Mapping[str, RoleRecord]
    """By the `sourcedId` of the user."""
    classes: Mapping[str, ClassRecord]
    enrollments: Mapping[str, EnrollmentRecord]
    errors: tuple[RowError, ...]
