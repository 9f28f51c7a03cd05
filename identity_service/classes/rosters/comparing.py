"""Compares a roster with what is here: the plan of what it does."""

from identity_service.classes.rosters import class_rows, enrollment_rows, user_rows
from identity_service.classes.rosters.plan import Plan
from identity_service.classes.rosters.records import Roster
from identity_service.classes.rosters.state import State


def compare(roster: Roster, state: State) -> Plan:
    """What applying a roster to an installation in this state does, and which rows cannot be applied."""
    plan = Plan()
    for fault in roster.faults:
        plan.fault(fault)
    people = user_rows.compare(plan, roster, state)
    classes = class_rows.compare(plan, roster, state)
    enrollment_rows.compare(plan, roster, state, people, classes)
    return plan.seal(roster.digest)
