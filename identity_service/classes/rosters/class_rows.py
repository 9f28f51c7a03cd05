"""Compares the classes of a roster with those that came by rosters before."""

from identity_service.classes.rosters.layout import CLASSES
from identity_service.classes.rosters.plan import ADDED, CHANGED, LEAVING, UNCHANGED, Plan, new
from identity_service.classes.rosters.records import ClassRecord, Fault, Roster
from identity_service.classes.rosters.state import State
from identity_service.classes.rosters.store import KnownClassRow
from identity_service.classes.rosters.subjects import Subjects


def compare(plan: Plan, roster: Roster, state: State) -> Subjects:
    """Adds to a plan what becomes of classes; returns them for the enrolments to name."""
    known = {sourced_id: row.class_id for sourced_id, row in state.classes.items() if not row.deleted}
    classes = Subjects.of(CLASSES, roster, roster.classes, known)
    for record in roster.classes.values():
        row = state.classes.get(record.sourced_id)
        if record.stays:
            _compare(plan, classes, record, row)
        elif row is None or row.archived or row.deleted:
            plan.judge(UNCHANGED, CLASSES, record.line, record.sourced_id)
    for sourced_id, row in state.classes.items():
        if classes.has_left(sourced_id) and not row.archived and not row.deleted:
            # What was done in it stays to be seen.
            plan.archived.append(row.class_id)
            named = roster.classes.get(sourced_id)
            plan.judge(LEAVING, CLASSES, named.line if named else 0, sourced_id)
    return classes


def _compare(plan: Plan, classes: Subjects, record: ClassRecord, row: KnownClassRow | None) -> None:
    where = (CLASSES, record.line, record.sourced_id)
    if row and row.deleted:
        classes.faulty.add(record.sourced_id)
        plan.fault(Fault(*where, "sourcedId", "is that of a deleted class: restore it, or leave it out"))
        return
    classes.keys[record.sourced_id] = row.class_id if row else new(record.sourced_id)
    if row is None:
        plan.new_classes.append((record.sourced_id, record.title))
        plan.judge(ADDED, *where)
    elif row.title == record.title:
        plan.judge(UNCHANGED, *where)
    elif row.archived:
        plan.fault(Fault(*where, "title", "is another, but the class is archived: take it into use first"))
    else:
        plan.retitled.append((row.class_id, record.title))
        plan.judge(CHANGED, *where, columns=("title",))
