"""Maps rosters to the messages of the contract."""

from google.rpc.error_details_pb2 import BadRequest

from chassis import paging
from chassis.conversions import EnumCodec
from identity_service.classes.rosters.layout import CLASSES, ENROLLMENTS, USERS
from identity_service.classes.rosters.plan import ADDED, CHANGED, INVALID, REMOVED, UNCHANGED, Plan, RowChange
from identity_service.classes.rosters.records import RowError
from meno.identity.v1.resources_pb2 import RosterChangeType, RosterCounts, RosterImportResult, RosterRowChange

_CHANGE_TYPES = EnumCodec(RosterChangeType)


def to_message(plan: Plan, *, applied: bool) -> RosterImportResult:
    """Returns the plan with as many row changes as one message has room for."""
    changes = [_to_row_change(change) for change in plan.list_changes()]
    fits = paging.count_within_bytes(one.ByteSize() for one in changes)
    return RosterImportResult(
        applied=applied,
        users=_to_counts(plan, USERS),
        classes=_to_counts(plan, CLASSES),
        enrollments=_to_counts(plan, ENROLLMENTS),
        row_changes=changes[:fits],
        truncated=fits < len(changes),
        etag=plan.etag,
    )


def to_violation(error: RowError) -> BadRequest.FieldViolation:
    """Returns the field violation of a row that cannot be applied."""
    return BadRequest.FieldViolation(field=error.path, description=error.problem, reason="roster.row")


def _to_row_change(change: RowChange) -> RosterRowChange:
    return RosterRowChange(
        change=_CHANGE_TYPES.value(change.change),
        file=change.file,
        line=change.line,
        sourced_id=change.sourced_id,
        columns=change.columns,
        problem=change.problem,
    )


def _to_counts(plan: Plan, file: str) -> RosterCounts:
    counts = plan.count_rows()
    return RosterCounts(
        added=counts[file, ADDED],
        changed=counts[file, CHANGED],
        removed=counts[file, REMOVED],
        invalid=counts[file, INVALID],
        unchanged=counts[file, UNCHANGED],
    )
