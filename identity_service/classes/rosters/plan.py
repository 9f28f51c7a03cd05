"""What a roster does: shown by a dry run, done by an import. Both are made from the same plan."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import NamedTuple

from identity_service.classes.rosters.layout import CLASSES, ENROLLMENTS, FILES, ROLES, USERS
from identity_service.classes.rosters.records import Fault, UserRecord

ADDED = "ADDED"
CHANGED = "CHANGED"
LEAVING = "LEAVING"
FAULTY = "FAULTY"
UNCHANGED = "UNCHANGED"

COUNTED = {USERS: USERS, ROLES: USERS, CLASSES: CLASSES, ENROLLMENTS: ENROLLMENTS}
"""Among what the rows of each file are counted."""

_NEW = "+"


class Verdict(NamedTuple):
    """What becomes of a row."""

    change: str
    file: str
    line: int
    """0 of a row that is not in the roster any more."""
    sourced_id: str
    columns: tuple[str, ...] = ()
    problem: str = ""


class Place(NamedTuple):
    """A person in a class: by their ids, or what `new` makes of the sourcedId of one that is not here yet."""

    class_key: str
    user_key: str


class Entry(NamedTuple):
    """That somebody comes into a class, or gets another part in it."""

    place: Place
    role: str
    sourced_id: str
    before: str = ""
    """The role of who is there already."""


class Newcomer(NamedTuple):
    """Somebody for whom an account is made."""

    sourced_id: str
    name: str
    role: str
    grade: int | None
    login_name: str
    email: str
    phone: str

    @classmethod
    def of(cls, record: UserRecord, *, role: str, login_name: str) -> "Newcomer":
        """The person of a row."""
        return cls(record.sourced_id, record.name, role, record.grade, login_name, record.email, record.phone)


def new(sourced_id: str) -> str:
    """Stands for the id of what is made by the import."""
    return _NEW + sourced_id


def is_new(key: str) -> bool:
    """Whether this stands for an id that is not given yet."""
    return key.startswith(_NEW)


@dataclass
class Plan:
    """The verdicts on all rows, and what is done in consequence."""

    verdicts: dict[tuple[str, str, int], Verdict] = field(default_factory=dict)
    faults: dict[tuple[str, str, int], Fault] = field(default_factory=dict)
    newcomers: list[Newcomer] = field(default_factory=list)
    recognised: list[tuple[str, str]] = field(default_factory=list)
    """sourcedId and id of people who were here before they were in a roster."""
    renamed: list[tuple[str, str]] = field(default_factory=list)
    """Id and name."""
    addressed: list[tuple[str, str, str]] = field(default_factory=list)
    """Id, kind and value of an address that a person had none of."""
    promoted: list[tuple[str, str]] = field(default_factory=list)
    """Id of a person who teaches from now on, and the role that they had."""
    new_classes: list[tuple[str, str]] = field(default_factory=list)
    """sourcedId and title."""
    retitled: list[tuple[str, str]] = field(default_factory=list)
    """Id and title."""
    archived: list[str] = field(default_factory=list)
    entering: list[Entry] = field(default_factory=list)
    changing: list[Entry] = field(default_factory=list)
    ending: list[tuple[Place, str]] = field(default_factory=list)
    """Where a membership ends, and its role."""
    etag: str = ""
    """Names the roster, and everything that is done with it here."""

    def judge(
        self, change: str, file: str, line: int, sourced_id: str, columns: tuple[str, ...] = ()
    ) -> None:
        """Says what becomes of a row."""
        self.verdicts[file, sourced_id, line] = Verdict(change, file, line, sourced_id, columns)

    def fault(self, fault: Fault) -> None:
        """Says that a row cannot be applied; the first reason is told."""
        key = (fault.file, fault.sourced_id, fault.line)
        self.faults.setdefault(key, fault)
        columns = (fault.column,) if fault.column else ()
        self.verdicts[key] = Verdict(FAULTY, *_row(fault), columns, fault.problem)

    def counts(self) -> Counter[tuple[str, str]]:
        """How many rows there are, by what they are counted among and what becomes of them."""
        return Counter((COUNTED[verdict.file], verdict.change) for verdict in self.verdicts.values())

    def differences(self) -> list[Verdict]:
        """Every row that changes something or cannot: faulty ones first, then in the order of their files."""
        told = [verdict for verdict in self.verdicts.values() if verdict.change != UNCHANGED]
        return sorted(
            told, key=lambda one: (one.change != FAULTY, FILES.index(one.file), one.line, one.sourced_id)
        )

    def faulty(self) -> list[Fault]:
        """The rows that cannot be applied, in the order of their files."""
        return sorted(self.faults.values(), key=lambda one: (FILES.index(one.file), one.line))

    def class_ids(self) -> set[str]:
        """The classes that are changed, or whose members are."""
        entries = (*self.entering, *self.changing)
        ids = {entry.place.class_key for entry in entries} | {place.class_key for place, _ in self.ending}
        return _ids({*ids, *self.archived, *(class_id for class_id, _ in self.retitled)})

    def user_ids(self) -> set[str]:
        """The people who are changed, or whose memberships are."""
        return _ids(
            {
                *(user_id for _, user_id in self.recognised),
                *(user_id for user_id, _ in self.renamed),
                *(user_id for user_id, *_ in self.addressed),
                *(user_id for user_id, _ in self.promoted),
                *(entry.place.user_key for entry in (*self.entering, *self.changing)),
                *(place.user_key for place, _ in self.ending),
            }
        )

    def seal(self, archive: bytes) -> "Plan":
        """Gives the plan its etag, once it is made from the archive with this digest."""
        digest = hashlib.sha256(archive)
        for part in self._parts():
            digest.update(repr(part).encode())
        self.etag = digest.hexdigest()[:32]
        return self

    def _parts(self) -> Iterator[object]:
        yield from self.differences()
        for one in fields(self):
            if one.name not in ("verdicts", "faults", "etag"):
                yield from (one.name, *getattr(self, one.name))


def _row(fault: Fault) -> tuple[str, int, str]:
    return fault.file, fault.line, fault.sourced_id


def _ids(keys: set[str]) -> set[str]:
    return {key for key in keys if not is_new(key)}
