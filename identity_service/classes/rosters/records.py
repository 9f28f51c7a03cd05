"""The rows of a roster that were understood, and those that were not."""

from collections.abc import Mapping
from typing import NamedTuple


class UserRecord(NamedTuple):
    """A person."""

    line: int
    sourced_id: str
    stays: bool
    """Whether the roster wants them let into classes; where not, nothing below is read."""
    name: str = ""
    login_name: str = ""
    """Empty where the roster's is none that one signs in with here."""
    email: str = ""
    phone: str = ""
    grade: int | None = None
    teaches: bool = False


class RoleRecord(NamedTuple):
    """That a person teaches."""

    line: int
    sourced_id: str
    user_sourced_id: str


class ClassRecord(NamedTuple):
    """A class."""

    line: int
    sourced_id: str
    stays: bool
    title: str = ""


class EnrollmentRecord(NamedTuple):
    """A person in a class."""

    line: int
    sourced_id: str
    stays: bool
    class_sourced_id: str = ""
    user_sourced_id: str = ""
    role: str | None = None
    """STUDENT or TEACHER; None for whoever has another part in a class, which gives no right here."""


class Fault(NamedTuple):
    """A row that cannot be applied."""

    file: str
    line: int
    sourced_id: str
    column: str
    problem: str
    """What is wrong, and what to do."""

    @property
    def place(self) -> str:
        """As a violation names it: `users.csv[12].email`."""
        return f"{self.file}[{self.line}]" + (f".{self.column}" if self.column else "")


class Roster(NamedTuple):
    """What an archive says, by `sourcedId`."""

    digest: bytes
    """Names the archive."""
    complete: frozenset[str]
    """The files that are complete: what they do not name has left."""
    users: Mapping[str, UserRecord]
    teachers: Mapping[str, RoleRecord]
    """By the person's."""
    classes: Mapping[str, ClassRecord]
    enrollments: Mapping[str, EnrollmentRecord]
    faults: tuple[Fault, ...]
