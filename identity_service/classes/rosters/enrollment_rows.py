"""Compares the enrolments of a roster with who is in its classes."""

from collections import Counter
from collections.abc import Iterable

from identity_service.classes import rules as class_rules
from identity_service.classes.rosters.layout import CLASSES, ENROLLMENTS, USERS
from identity_service.classes.rosters.plan import (
    ADDED,
    CHANGED,
    LEAVING,
    UNCHANGED,
    Entry,
    Place,
    Plan,
    is_new,
)
from identity_service.classes.rosters.records import EnrollmentRecord, Fault, Roster
from identity_service.classes.rosters.state import State
from identity_service.classes.rosters.store import MemberRow
from identity_service.classes.rosters.subjects import Subjects, Unusable

TEACHER = "TEACHER"


def compare(plan: Plan, roster: Roster, state: State, people: Subjects, classes: Subjects) -> None:
    """Adds to a plan what becomes of memberships, and which classes would be without a teacher."""
    comparison = _Comparison(plan, roster, state, people, classes)
    for record in roster.enrollments.values():
        comparison.compare(record)
    comparison.end_what_left()
    comparison.check_room()
    comparison.check_teachers()


class _Comparison:
    def __init__(self, plan: Plan, roster: Roster, state: State, people: Subjects, classes: Subjects) -> None:
        self._plan = plan
        self._roster = roster
        self._state = state
        self._people = people
        self._classes = classes
        self._archived = {row.class_id for row in state.classes.values() if row.archived} | {*plan.archived}
        self._here = {Place(row.class_id, row.user_id): row for row in state.members}
        self._let_in = {
            *(row.user_id for row in state.people.values() if row.let_in),
            *(row.user_id for row in state.owners.values() if row.let_in),
            *(row.user_id for row in state.members if row.let_in),
        }
        self._wanted: dict[Place, EnrollmentRecord] = {}
        self._faulty = {fault.sourced_id for fault in roster.faults if fault.file == ENROLLMENTS}

    def compare(self, record: EnrollmentRecord) -> None:
        """Says what becomes of a row."""
        place = self._place(record)
        if place is None:
            return
        assert record.role is not None
        before = self._wanted.setdefault(place, record)
        if before is not record:
            if before.role != record.role:
                self._fault(record, "role", f"is another than in line {before.line}, of the same person")
            else:
                self._judge(UNCHANGED, record)
            return
        row = self._here.get(place)
        changes = _changes(record, row) if row else []
        if row and not changes:
            self._judge(UNCHANGED, record)
        elif place.class_key in self._archived:
            self._fault(record, "classSourcedId", "names an archived class: take it into use first")
        elif row:
            self._plan.changing.append(Entry(place, record.role, record.sourced_id, row.role))
            self._judge(CHANGED, record, changes)
        else:
            self._plan.entering.append(Entry(place, record.role, record.sourced_id))
            self._judge(ADDED, record)

    def _place(self, record: EnrollmentRecord) -> Place | None:
        """The membership that a row wants, or None, with the verdict on the row."""
        if not record.stays or record.role is None:
            self._judge(UNCHANGED, record)
            return None
        keys = []
        for column, subjects, sourced_id in (
            ("classSourcedId", self._classes, record.class_sourced_id),
            ("userSourcedId", self._people, record.user_sourced_id),
        ):
            try:
                keys.append(subjects.find(sourced_id))
            except Unusable as unusable:
                self._fault(record, column, str(unusable))
                return None
        class_key, user_key = keys
        if class_key is None:
            self._fault(record, "classSourcedId", "names a class that leaves with this roster")
            return None
        if user_key is None:
            self._judge(UNCHANGED, record)
            return None
        return Place(class_key, user_key)

    def end_what_left(self) -> None:
        """Ends the memberships that came by a roster and are not wanted any more."""
        elsewhere = {record.sourced_id for record in self._wanted.values()}
        for place, row in self._here.items():
            if row.sourced_id is None or place in self._wanted or row.sourced_id in self._faulty:
                continue
            gone = row.user_sourced_id is not None and self._people.has_left(row.user_sourced_id)
            named = self._roster.enrollments.get(row.sourced_id)
            if not gone and not named and ENROLLMENTS not in self._roster.complete:
                continue
            self._plan.ending.append((place, row.role))
            line = named.line if named and row.sourced_id not in elsewhere else 0
            self._plan.judge(LEAVING, ENROLLMENTS, line, row.sourced_id)
            if gone:
                assert row.user_sourced_id is not None
                user = self._roster.users.get(row.user_sourced_id)
                self._plan.judge(LEAVING, USERS, user.line if user else 0, row.user_sourced_id)

    def check_room(self) -> None:
        """Finds those who would be in more classes than a token carries."""
        held = Counter(self._state.held)
        left = {place for place, _ in self._plan.ending if place.class_key not in self._archived}
        closed = {place for place in self._here if place.class_key in self._plan.archived}
        held.subtract(place.user_key for place in left | closed)
        for entry in self._plan.entering:
            held[entry.place.user_key] += 1
            if held[entry.place.user_key] > class_rules.MAX_CLASSES:
                limit = f"{class_rules.MAX_CLASSES} classes are the most that somebody is in"
                self._fault(self._roster.enrollments[entry.sourced_id], "userSourcedId", limit)

    def check_teachers(self) -> None:
        """Finds the classes that are made without a teacher, or lose the last who is let in."""
        teachers = {place for place, row in self._here.items() if row.role == TEACHER and row.let_in}
        before = {place.class_key for place in teachers}
        teachers -= {place for place, _ in self._plan.ending}
        teachers -= {entry.place for entry in self._plan.changing if entry.role != TEACHER}
        teachers |= {
            entry.place
            for entry in (*self._plan.entering, *self._plan.changing)
            if entry.role == TEACHER
            and (is_new(entry.place.user_key) or entry.place.user_key in self._let_in)
        }
        taught = {place.class_key for place in teachers}
        for sourced_id, key in self._keys():
            if key not in taught and key not in self._archived and (is_new(key) or key in before):
                record = self._roster.classes.get(sourced_id)
                line = record.line if record else 0
                problem = "has no teacher in this roster who is let in: enrol one"
                self._plan.fault(Fault(CLASSES, line, sourced_id, "sourcedId", problem))

    def _keys(self) -> Iterable[tuple[str, str]]:
        known = {sourced_id: row.class_id for sourced_id, row in self._state.classes.items()}
        return {**known, **self._classes.keys}.items()

    def _judge(self, change: str, record: EnrollmentRecord, columns: Iterable[str] = ()) -> None:
        self._plan.judge(change, ENROLLMENTS, record.line, record.sourced_id, tuple(columns))

    def _fault(self, record: EnrollmentRecord, column: str, problem: str) -> None:
        self._faulty.add(record.sourced_id)
        self._plan.fault(Fault(ENROLLMENTS, record.line, record.sourced_id, column, problem))


def _changes(record: EnrollmentRecord, row: MemberRow) -> list[str]:
    """The columns that change a membership. One that came by other ways belongs to the roster from then on."""
    differs = {"role": row.role != record.role, "sourcedId": row.sourced_id != record.sourced_id}
    return [column for column, changed in differs.items() if changed]
