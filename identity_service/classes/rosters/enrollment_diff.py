"""Compares the enrolments of a roster with the members of its classes."""

from collections import Counter
from collections.abc import Iterable

from identity_service.classes import rules as class_rules
from identity_service.classes.rosters.layout import CLASSES, ENROLLMENTS, USERS
from identity_service.classes.rosters.plan import (
    ADDED,
    CHANGED,
    REMOVED,
    UNCHANGED,
    Enrollment,
    NewEnrollment,
    Plan,
    is_new,
)
from identity_service.classes.rosters.records import EnrollmentRecord, Roster, RowError
from identity_service.classes.rosters.references import InvalidReference, References
from identity_service.classes.rosters.types import MemberRow, State

TEACHER = "TEACHER"


def compare(plan: Plan, roster: Roster, state: State, users: References, classes: References) -> None:
    """Adds the changes of memberships to a plan.

    Adds errors for users with too many classes, and for classes without a teacher.
    """
    comparison = _Comparison(plan, roster, state, users, classes)
    for record in roster.enrollments.values():
        comparison.compare(record)
    comparison.end_removed()
    comparison.check_class_limit()
    comparison.check_teachers()


class _Comparison:
    def __init__(
        self, plan: Plan, roster: Roster, state: State, users: References, classes: References
    ) -> None:
        self._plan = plan
        self._roster = roster
        self._state = state
        self._users = users
        self._classes = classes
        self._archived = {row.class_id for row in state.classes.values() if row.archived}
        self._archived |= {*plan.archived_classes}
        self._existing = {Enrollment(row.class_id, row.user_id): row for row in state.members}
        self._active_users = {
            *(row.user_id for row in state.users.values() if row.active),
            *(row.user_id for row in state.owners.values() if row.active),
            *(row.user_id for row in state.members if row.active),
        }
        self._records: dict[Enrollment, EnrollmentRecord] = {}
        self._invalid = {error.sourced_id for error in roster.errors if error.file == ENROLLMENTS}

    def compare(self, record: EnrollmentRecord) -> None:
        """Compares one row."""
        enrollment = self._resolve(record)
        if enrollment is None:
            return
        assert record.role is not None
        first = self._records.setdefault(enrollment, record)
        if first is not record:
            if first.role != record.role:
                self._add_error(record, "role", f"must be the same as in line {first.line} for this user")
            else:
                self._add_change(UNCHANGED, record)
            return
        member = self._existing.get(enrollment)
        columns = _changed_columns(record, member) if member else []
        if member and not columns:
            self._add_change(UNCHANGED, record)
        elif enrollment.class_key in self._archived:
            self._add_error(
                record, "classSourcedId", "must not refer to an archived class: unarchive it first"
            )
        elif member:
            change = NewEnrollment(enrollment, record.role, record.sourced_id, member.role)
            self._plan.changed_enrollments.append(change)
            self._add_change(CHANGED, record, columns)
        else:
            self._plan.added_enrollments.append(NewEnrollment(enrollment, record.role, record.sourced_id))
            self._add_change(ADDED, record)

    def _resolve(self, record: EnrollmentRecord) -> Enrollment | None:
        """Returns the membership that a row describes.

        Returns None, and adds the change or the error to the plan, if the row describes none.
        """
        if not record.active or record.role is None:
            self._add_change(UNCHANGED, record)
            return None
        keys = []
        for column, references, sourced_id in (
            ("classSourcedId", self._classes, record.class_sourced_id),
            ("userSourcedId", self._users, record.user_sourced_id),
        ):
            try:
                keys.append(references.resolve(sourced_id))
            except InvalidReference as error:
                self._add_error(record, column, str(error))
                return None
        class_key, user_key = keys
        if class_key is None:
            self._add_error(record, "classSourcedId", "must not refer to a class that this roster removes")
            return None
        if user_key is None:
            self._add_change(UNCHANGED, record)
            return None
        return Enrollment(class_key, user_key)

    def end_removed(self) -> None:
        """Ends the memberships of earlier rosters that this roster removes."""
        used_ids = {record.sourced_id for record in self._records.values()}
        for enrollment, member in self._existing.items():
            sourced_id, user_sourced_id = member.sourced_id, member.user_sourced_id
            if sourced_id is None or enrollment in self._records or sourced_id in self._invalid:
                continue
            user_removed = user_sourced_id is not None and self._users.is_removed(user_sourced_id)
            listed = self._roster.enrollments.get(sourced_id)
            if not user_removed and not listed and ENROLLMENTS not in self._roster.bulk_files:
                continue
            self._plan.ended_enrollments.append((enrollment, member.role))
            line = listed.line if listed and sourced_id not in used_ids else 0
            self._plan.add_change(REMOVED, ENROLLMENTS, line, sourced_id)
            if user_removed:
                assert user_sourced_id is not None
                user = self._roster.users.get(user_sourced_id)
                self._plan.add_change(REMOVED, USERS, user.line if user else 0, user_sourced_id)

    def check_class_limit(self) -> None:
        """Adds an error for every user who would have more active classes than a token lists."""
        counts = Counter(self._state.class_counts)
        ended = {one for one, _ in self._plan.ended_enrollments if one.class_key not in self._archived}
        archived = {one for one in self._existing if one.class_key in self._plan.archived_classes}
        counts.subtract(one.user_key for one in ended | archived)
        for new in self._plan.added_enrollments:
            counts[new.enrollment.user_key] += 1
            if counts[new.enrollment.user_key] > class_rules.MAX_CLASSES:
                problem = f"must not be in more than {class_rules.MAX_CLASSES} active classes"
                self._add_error(self._roster.enrollments[new.sourced_id], "userSourcedId", problem)

    def check_teachers(self) -> None:
        """Adds an error for every class that is added without an active teacher, or loses the last one."""
        teachers = {one for one, row in self._existing.items() if row.role == TEACHER and row.active}
        taught_before = {one.class_key for one in teachers}
        teachers -= {one for one, _ in self._plan.ended_enrollments}
        teachers -= {new.enrollment for new in self._plan.changed_enrollments if new.role != TEACHER}
        teachers |= {
            new.enrollment
            for new in (*self._plan.added_enrollments, *self._plan.changed_enrollments)
            if new.role == TEACHER
            and (is_new(new.enrollment.user_key) or new.enrollment.user_key in self._active_users)
        }
        taught = {one.class_key for one in teachers}
        for sourced_id, key in self._class_keys():
            if key not in taught and key not in self._archived and (is_new(key) or key in taught_before):
                record = self._roster.classes.get(sourced_id)
                line = record.line if record else 0
                problem = "must have an active teacher: enrol one"
                self._plan.add_error(RowError(CLASSES, line, sourced_id, "sourcedId", problem))

    def _class_keys(self) -> Iterable[tuple[str, str]]:
        existing = {sourced_id: row.class_id for sourced_id, row in self._state.classes.items()}
        return {**existing, **self._classes.keys}.items()

    def _add_change(self, change: str, record: EnrollmentRecord, columns: Iterable[str] = ()) -> None:
        self._plan.add_change(change, ENROLLMENTS, record.line, record.sourced_id, tuple(columns))

    def _add_error(self, record: EnrollmentRecord, column: str, problem: str) -> None:
        self._invalid.add(record.sourced_id)
        self._plan.add_error(RowError(ENROLLMENTS, record.line, record.sourced_id, column, problem))


def _changed_columns(record: EnrollmentRecord, member: MemberRow) -> list[str]:
    """`sourcedId` changes if the membership did not come from a roster: the roster manages it from now on."""
    changed = {"role": member.role != record.role, "sourcedId": member.sourced_id != record.sourced_id}
    return [column for column, differs in changed.items() if differs]
