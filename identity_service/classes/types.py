"""Value types of classes."""

from datetime import datetime
from typing import NamedTuple


class ClassRow(NamedTuple):
    """A class."""

    class_id: str
    title: str
    description: str
    join_code: str
    join_policy: str
    version: int
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None
    deleted_at: datetime | None


class UserClassRow(NamedTuple):
    """A class of a user, with the user's membership in it."""

    class_id: str
    title: str
    description: str
    join_code: str
    join_policy: str
    version: int
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None
    deleted_at: datetime | None
    role: str
    joined_at: datetime

    def to_class(self) -> ClassRow:
        """Returns the class without the membership."""
        return ClassRow._make(self[: len(ClassRow._fields)])


class ClassFields(NamedTuple):
    """The fields of a class that its teachers may change."""

    title: str
    description: str
    join_policy: str


class ClassChanges(NamedTuple):
    """New values of the fields of a class; None leaves a field unchanged."""

    title: str | None = None
    description: str | None = None
    join_policy: str | None = None
