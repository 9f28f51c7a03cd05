"""Compares the people of a roster with those who are here."""

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from identity_service.classes.rosters.layout import ROLES, USERS
from identity_service.classes.rosters.plan import ADDED, CHANGED, UNCHANGED, Newcomer, Plan, new
from identity_service.classes.rosters.records import Fault, Roster, UserRecord
from identity_service.classes.rosters.state import State
from identity_service.classes.rosters.store import OwnerRow, PersonRow
from identity_service.classes.rosters.subjects import Subjects
from identity_service.people.users.rules import canonical

_RAISED = ("UNASSIGNED", "STUDENT")
"""The roles of those whom a roster can make teachers; whoever is more stays what they are."""

_Known: TypeAlias = PersonRow | OwnerRow


class _Address(NamedTuple):
    column: str
    kind: str
    value: str
    canonical: str


class _Wrong(Exception):
    """A row cannot be applied because of one of its columns."""

    def __init__(self, column: str, problem: str) -> None:
        super().__init__(problem)
        self.column = column
        self.problem = problem


def compare(plan: Plan, roster: Roster, state: State) -> Subjects:
    """Adds to a plan what becomes of people; returns them for the enrolments to name."""
    known = {sourced_id: row.user_id for sourced_id, row in state.people.items()}
    people = Subjects.of(USERS, roster, roster.users, known)
    comparison = _Comparison(plan, roster, state)
    for record in roster.users.values():
        try:
            key = comparison.compare(record)
        except _Wrong as wrong:
            people.faulty.add(record.sourced_id)
            plan.fault(Fault(USERS, record.line, record.sourced_id, wrong.column, wrong.problem))
        else:
            people.keys |= {record.sourced_id: key} if key else {}
    comparison.compare_roles(people)
    return people


class _Comparison:
    def __init__(self, plan: Plan, roster: Roster, state: State) -> None:
        self._plan = plan
        self._roster = roster
        self._state = state
        self._taken: dict[str, int] = {}
        """The lines that have taken a name, an address or a person."""

    def compare(self, record: UserRecord) -> str | None:
        """Says what becomes of a row, and by which key enrolments find its person: None for who has left."""
        where = (USERS, record.line, record.sourced_id)
        if not record.stays:
            self._plan.judge(UNCHANGED, *where)
            return None
        row: _Known | None = self._state.people.get(record.sourced_id)
        columns: list[str] = []
        if row is None:
            row = self._recognise(record)
            if row is None:
                self._plan.newcomers.append(self._newcomer(record))
                self._plan.judge(ADDED, *where)
                return new(record.sourced_id)
            self._plan.recognised.append((record.sourced_id, row.user_id))
            columns.append("sourcedId")
        columns += self._changes(record, row)
        self._plan.judge(CHANGED if columns else UNCHANGED, *where, columns=tuple(columns))
        return row.user_id

    def compare_roles(self, people: Subjects) -> None:
        """Says what becomes of those who teach and have no row among the users."""
        for sourced_id, role in self._roster.teachers.items():
            row = self._state.people.get(sourced_id)
            where = (ROLES, role.line, role.sourced_id)
            if sourced_id in people.named or sourced_id in people.faulty:
                continue
            if row is None or people.complete:
                self._plan.fault(Fault(*where, "userSourcedId", f"names nobody in {USERS}"))
            elif row.role in _RAISED:
                self._plan.promoted.append((row.user_id, row.role))
                self._plan.judge(CHANGED, *where, columns=("role",))

    def _recognise(self, record: UserRecord) -> OwnerRow | None:
        """Somebody who is here and has proven that an address of the row is theirs, or None."""
        found: dict[str, OwnerRow] = {}
        for address in _addresses(record):
            self._take(address.column, address.canonical, record.line)
            owner = self._state.owners.get(address.canonical)
            if owner is None:
                continue
            if not owner.proven:
                claimed = (
                    "is claimed by somebody here who has not proven it: have them prove it, or leave it out"
                )
                raise _Wrong(address.column, claimed)
            if owner.deleted:
                raise _Wrong(address.column, "belongs to a deleted account: restore it, or have it erased")
            if owner.rostered:
                raise _Wrong(address.column, "belongs to somebody who came by a roster as somebody else")
            found[owner.user_id] = owner
            if len(found) > 1:
                raise _Wrong(address.column, "belongs to somebody else than the e-mail address does")
            self._take(address.column, owner.user_id, record.line)
        return next(iter(found.values()), None)

    def _newcomer(self, record: UserRecord) -> Newcomer:
        login_name, name = record.login_name, canonical(record.login_name)
        if name in self._taken or name in self._state.owners:
            login_name = ""
        elif login_name:
            self._taken[name] = record.line
        role = "TEACHER" if self._teaches(record) else "STUDENT"
        return Newcomer.of(record, role=role, login_name=login_name)

    def _changes(self, record: UserRecord, row: _Known) -> Iterator[str]:
        """The columns that change somebody who is here."""
        if row.full_name != record.name:
            self._plan.renamed.append((row.user_id, record.name))
            yield from ("givenName", "familyName")
        for address in _addresses(record):
            # Who has an address of this kind decides themselves which it is.
            if row.has_email if address.kind == "EMAIL" else row.has_phone:
                continue
            if address.canonical in self._state.owners:
                raise _Wrong(address.column, "belongs to somebody else here")
            self._take(address.column, address.canonical, record.line)
            self._plan.addressed.append((row.user_id, address.kind, address.value))
            yield address.column
        if self._teaches(record) and row.role in _RAISED:
            self._plan.promoted.append((row.user_id, row.role))
            yield "role"

    def _teaches(self, record: UserRecord) -> bool:
        return record.teaches or record.sourced_id in self._roster.teachers

    def _take(self, column: str, what: str, line: int) -> None:
        if self._taken.setdefault(what, line) != line:
            raise _Wrong(column, f"is that of line {self._taken[what]} as well")


def _addresses(record: UserRecord) -> Iterator[_Address]:
    for column, value in (("email", record.email), ("phone", record.phone)):
        if value:
            yield _Address(column, column.upper(), value, canonical(value))
