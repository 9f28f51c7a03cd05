"""Compares the classes of a roster with the classes of earlier rosters."""

from identity_service.classes.rosters.layout import CLASSES
from identity_service.classes.rosters.plan import ADDED, CHANGED, REMOVED, UNCHANGED, Plan, new_key
from identity_service.classes.rosters.records import ClassRecord, Roster, RowError
from identity_service.classes.rosters.references import References
from identity_service.classes.rosters.types import RosterClassRow, State


def compare(plan: Plan, roster: Roster, state: State) -> References:
    """Adds the changes of classes to a plan. Returns the classes that enrolments may refer to."""
    existing_ids = {sourced_id: row.class_id for sourced_id, row in state.classes.items() if not row.deleted}
    classes = References.of(CLASSES, roster, roster.classes, existing_ids)
    for record in roster.classes.values():
        row = state.classes.get(record.sourced_id)
        if record.active:
            _compare(plan, classes, record, row)
        elif row is None or row.archived or row.deleted:
            plan.add_change(UNCHANGED, CLASSES, record.line, record.sourced_id)
    for sourced_id, row in state.classes.items():
        if classes.is_removed(sourced_id) and not row.archived and not row.deleted:
            # A removed class is archived, not deleted, so that its members can still read it.
            plan.archived_classes.append(row.class_id)
            listed = roster.classes.get(sourced_id)
            plan.add_change(REMOVED, CLASSES, listed.line if listed else 0, sourced_id)
    return classes


def _compare(plan: Plan, classes: References, record: ClassRecord, row: RosterClassRow | None) -> None:
    key = (CLASSES, record.line, record.sourced_id)
    if row and row.deleted:
        classes.invalid.add(record.sourced_id)
        problem = "must not be that of a deleted class: restore the class or remove the row"
        plan.add_error(RowError(*key, "sourcedId", problem))
        return
    classes.keys[record.sourced_id] = row.class_id if row else new_key(record.sourced_id)
    if row is None:
        plan.new_classes.append((record.sourced_id, record.title))
        plan.add_change(ADDED, *key)
    elif row.title == record.title:
        plan.add_change(UNCHANGED, *key)
    elif row.archived:
        problem = "must not change, because the class is archived: unarchive the class first"
        plan.add_error(RowError(*key, "title", problem))
    else:
        plan.renamed_classes.append((row.class_id, record.title))
        plan.add_change(CHANGED, *key, columns=("title",))
