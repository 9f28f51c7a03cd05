"""Compares a roster with the installation."""

from identity_service.classes.rosters import class_diff, enrollment_diff, user_diff
from identity_service.classes.rosters.plan import Plan
from identity_service.classes.rosters.records import Roster
from identity_service.classes.rosters.types import State


def compare(roster: Roster, state: State) -> Plan:
    """Returns the plan that turns this state of the installation into the state that the roster describes."""
    plan = Plan()
    for error in roster.errors:
        plan.add_error(error)
    users = user_diff.compare(plan, roster, state)
    classes = class_diff.compare(plan, roster, state)
    enrollment_diff.compare(plan, roster, state, users, classes)
    plan.etag = plan.fingerprint(roster.digest)
    return plan
