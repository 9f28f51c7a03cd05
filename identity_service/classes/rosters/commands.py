"""Imports a roster. A dry run compares it with the installation and changes nothing."""

import asyncio

from chassis.database import Executor, Transaction
from chassis.errors import EtagMismatch
from identity_service.classes.memberships import store as memberships
from identity_service.classes.rosters import apply, diff, parse, store, validation
from identity_service.classes.rosters.messages import to_violation
from identity_service.classes.rosters.plan import Plan
from identity_service.classes.rosters.records import Roster
from identity_service.classes.rosters.types import State
from identity_service.errors import RosterInvalid
from identity_service.people.users.rules import canonicalize


async def read_roster(archive: bytes) -> Roster:
    """Parses and validates an archive. Raises FieldInvalid if it is not a roster."""
    # In a thread, because parsing a large roster would block the event loop.
    return await asyncio.to_thread(lambda: validation.validate_tables(parse.parse(archive)))


async def compare_roster(executor: Executor, roster: Roster) -> Plan:
    """Returns the changes that an import of the roster would make now."""
    state = await _load_state(executor, roster)
    return await asyncio.to_thread(diff.compare, roster, state)


async def import_roster(transaction: Transaction, roster: Roster, etag: str, by_user_id: str) -> Plan:
    """Applies a roster and returns the changes. `etag` is that of a dry run, or empty.

    Raises EtagMismatch if the changes are no longer those of the dry run. Raises RosterInvalid if a row
    cannot be applied. Raises ServiceUnavailable if an address was taken while the roster was applied.
    """
    plan = await compare_roster(transaction, roster)
    # Checked before anything is locked, and again when the rows are locked and can no longer change.
    _check(plan, etag)
    plan = await _lock_rows(transaction, roster, plan)
    _check(plan, etag)
    await apply.apply(transaction, plan, by_user_id)
    return plan


def _check(plan: Plan, etag: str) -> None:
    if etag not in ("", plan.etag):
        raise EtagMismatch(plan.etag)
    if errors := plan.list_errors():
        raise RosterInvalid(*map(to_violation, errors))


async def _lock_rows(transaction: Transaction, roster: Roster, plan: Plan) -> Plan:
    """Locks the rows that the plan changes and compares again, until the plan stays the same."""
    await store.lock_imports(transaction)
    while True:
        await store.lock_classes(transaction, plan.class_ids())
        await store.lock_users(transaction, plan.user_ids())
        await memberships.lock_teachers(transaction)
        previous, plan = plan, await compare_roster(transaction, roster)
        if plan.etag == previous.etag:
            return plan


async def _load_state(executor: Executor, roster: Roster) -> State:
    user_sourced_ids = {
        *roster.users,
        *roster.teachers,
        *(record.user_sourced_id for record in roster.enrollments.values()),
    }
    identifiers = {
        canonicalize(identifier)
        for record in roster.users.values()
        for identifier in (record.login_name, record.email, record.phone)
        if identifier
    }
    users = await store.list_users(executor, user_sourced_ids)
    owners = await store.list_identifier_owners(executor, identifiers)
    classes = await store.list_classes(executor)
    members = await store.list_members(
        executor, {row.class_id for row in classes.values() if not row.deleted}
    )
    user_ids = {row.user_id for row in users.values()} | {row.user_id for row in owners.values()}
    return State(users, owners, classes, members, await store.count_classes(executor, user_ids))
