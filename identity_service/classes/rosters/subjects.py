"""Whom and what enrolments may name: the people and the classes of a roster, and those who were here before."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from identity_service.classes.rosters.records import Roster


class Unusable(Exception):
    """What a row names is not there, or cannot be used; the text says why."""


@dataclass
class Subjects:
    """The rows of one file, and what is here under their names."""

    file: str
    known: Mapping[str, str]
    """Ids of what came by a roster before, by `sourcedId`."""
    complete: bool
    """Whether the file is: what it does not name has left."""
    named: Collection[str]
    """What it names."""
    faulty: set[str]
    """What it names in rows that cannot be applied."""
    keys: dict[str, str] = field(default_factory=dict)
    """Of those that stay: their ids, or what stands for ids that are not given yet."""

    @classmethod
    def of(cls, file: str, roster: Roster, named: Collection[str], known: Mapping[str, str]) -> "Subjects":
        """The subjects of a file, before its rows are compared."""
        faulty = {fault.sourced_id for fault in roster.faults if fault.file == file}
        return cls(file, known, file in roster.complete, named, faulty)

    def has_left(self, sourced_id: str) -> bool:
        """Whether the roster says that this one, who was in it before, is to be there no more."""
        if sourced_id in self.faulty or sourced_id in self.keys:
            return False
        return self.complete or sourced_id in self.named

    def find(self, sourced_id: str) -> str | None:
        """The key of one that stays; None of one that the file says has left. Raises Unusable."""
        if sourced_id in self.keys:
            return self.keys[sourced_id]
        if sourced_id in self.faulty:
            raise Unusable(f"names a row of {self.file} that cannot be applied itself")
        if sourced_id in self.named:
            return None
        if self.complete or sourced_id not in self.known:
            raise Unusable(f"names nothing in {self.file}, nor what was imported before and is still there")
        return self.known[sourced_id]
