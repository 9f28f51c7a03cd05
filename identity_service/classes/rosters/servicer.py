"""The part of ClassService that is about rosters."""

import asyncio

from google.rpc.error_details_pb2 import BadRequest

from chassis import paging
from chassis.calls import Context, caller
from chassis.conversions import EnumCodec
from chassis.database import Database, Transaction
from chassis.errors import EtagMismatch
from chassis.idempotency import write
from identity_service.classes.memberships import store as memberships
from identity_service.classes.rosters import applying, checking, comparing, reading, state, store
from identity_service.classes.rosters.layout import CLASSES, ENROLLMENTS, USERS
from identity_service.classes.rosters.plan import ADDED, CHANGED, FAULTY, LEAVING, UNCHANGED, Plan, Verdict
from identity_service.classes.rosters.records import Fault, Roster
from identity_service.errors import RosterInvalid
from meno.identity.v1.class_service_pb2 import ImportRosterRequest
from meno.identity.v1.resources_pb2 import RosterChangeType, RosterCounts, RosterImportResult, RosterRowChange

_CHANGES = EnumCodec(RosterChangeType)


class RosterServicer:
    """Compares rosters with the installation, and imports them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._one_at_a_time = asyncio.Lock()
        """A roster takes a hundred times the memory of other calls."""

    async def ImportRoster(self, request: ImportRosterRequest, context: Context) -> RosterImportResult:
        async with self._one_at_a_time:
            roster = await asyncio.to_thread(_read, request.archive)
            async with write(self._database) as transaction:
                plan = await _compared(transaction, roster)
                if not request.dry_run:
                    plan = await _import(transaction, roster, plan, request.etag)
                applied = not request.dry_run
                return transaction.respond(await asyncio.to_thread(_comparison, plan, applied=applied))


def _read(archive: bytes) -> Roster:
    return checking.check(reading.read(archive))


async def _compared(transaction: Transaction, roster: Roster) -> Plan:
    there = await state.load(transaction, roster)
    return await asyncio.to_thread(comparing.compare, roster, there)


async def _import(transaction: Transaction, roster: Roster, plan: Plan, etag: str) -> Plan:
    """Applies what a roster does now. Raises EtagMismatch, or RosterInvalid."""
    # Before anything is locked, and again once nothing can change any more.
    _check(plan, etag)
    plan = await _settled(transaction, roster, plan)
    _check(plan, etag)
    await applying.apply(transaction, plan, caller().user_id)
    return plan


def _check(plan: Plan, etag: str) -> None:
    if etag not in ("", plan.etag):
        raise EtagMismatch(plan.etag)
    if faults := plan.faulty():
        raise RosterInvalid(*map(_violation, faults))


def _violation(fault: Fault) -> BadRequest.FieldViolation:
    return BadRequest.FieldViolation(field=fault.place, description=fault.problem, reason="roster.row")


async def _settled(transaction: Transaction, roster: Roster, plan: Plan) -> Plan:
    """The plan that is made while whatever it touches is locked, until no other comes of it."""
    await store.lock(transaction)
    while True:
        await store.lock_classes(transaction, plan.class_ids())
        await store.lock_users(transaction, plan.user_ids())
        await memberships.lock_teachers(transaction)
        before, plan = plan, await _compared(transaction, roster)
        if plan.etag == before.etag:
            return plan


def _comparison(plan: Plan, *, applied: bool) -> RosterImportResult:
    """A plan as it travels, with as many differences as an answer has room for."""
    differences = [_difference(verdict) for verdict in plan.differences()]
    fits = paging.count_within_bytes(one.ByteSize() for one in differences)
    return RosterImportResult(
        applied=applied,
        users=_counts(plan, USERS),
        classes=_counts(plan, CLASSES),
        enrollments=_counts(plan, ENROLLMENTS),
        differences=differences[:fits],
        truncated=fits < len(differences),
        etag=plan.etag,
    )


def _difference(verdict: Verdict) -> RosterRowChange:
    return RosterRowChange(
        change=_CHANGES.value(verdict.change),
        file=verdict.file,
        line=verdict.line,
        sourced_id=verdict.sourced_id,
        columns=verdict.columns,
        problem=verdict.problem,
    )


def _counts(plan: Plan, what: str) -> RosterCounts:
    counts = plan.counts()
    return RosterCounts(
        added=counts[what, ADDED],
        changed=counts[what, CHANGED],
        leaving=counts[what, LEAVING],
        faulty=counts[what, FAULTY],
        unchanged=counts[what, UNCHANGED],
    )
