"""Resolves the users and classes that enrolments refer to: those of the roster and those of earlier ones."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from identity_service.classes.rosters.records import Roster


class InvalidReference(Exception):
    """A row refers to a user or a class that does not exist or cannot be used. The text is the problem."""


@dataclass
class References:
    """The users or the classes that enrolments may refer to, by `sourcedId`."""

    file: str
    existing_ids: Mapping[str, str]
    """Ids of the users or classes of earlier rosters, by `sourcedId`."""
    complete: bool
    """Whether the file is in bulk mode: a row that it no longer contains is removed."""
    listed: Collection[str]
    """The `sourcedId` of every valid row of the file."""
    invalid: set[str]
    """The `sourcedId` of every row of the file that cannot be applied."""
    keys: dict[str, str] = field(default_factory=dict)
    """Keys of the active rows by `sourcedId`: the id, or `plan.new_key` for a row that is to be added."""

    @classmethod
    def of(
        cls, file: str, roster: Roster, listed: Collection[str], existing_ids: Mapping[str, str]
    ) -> "References":
        """Returns the references of a file before its rows are compared."""
        invalid = {error.sourced_id for error in roster.errors if error.file == file}
        return cls(file, existing_ids, file in roster.bulk_files, listed, invalid)

    def is_removed(self, sourced_id: str) -> bool:
        """Returns whether the roster removes this user or class of an earlier roster."""
        if sourced_id in self.invalid or sourced_id in self.keys:
            return False
        return self.complete or sourced_id in self.listed

    def resolve(self, sourced_id: str) -> str | None:
        """Returns the key of a user or class, or None if the roster removes it. Raises InvalidReference."""
        if sourced_id in self.keys:
            return self.keys[sourced_id]
        if sourced_id in self.invalid:
            raise InvalidReference(f"must not refer to an invalid row of {self.file}: correct that row first")
        if sourced_id in self.listed:
            return None
        if self.complete or sourced_id not in self.existing_ids:
            raise InvalidReference(f"must refer to a row of {self.file} or of an earlier import")
        return self.existing_ids[sourced_id]
