"""Applies a plan in the transaction of the import. The caller has locked its classes and users."""

import secrets
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from chassis import audit
from chassis.database import Transaction
from chassis.errors import ServiceUnavailable
from identity_service.account_feed import commands as account_feed
from identity_service.classes import rules as class_rules
from identity_service.classes.memberships.rules import must_revoke_tokens
from identity_service.classes.rosters import bulk_store
from identity_service.classes.rosters.plan import Enrollment, NewEnrollment, Plan, RenamedUser, new_key
from identity_service.people.users.rules import canonicalize, default_display_name, default_nickname
from meno.access.v1.access_pb2 import ClassState
from meno.access.v1.resources_pb2 import AuditAction


class _AuditEntry(NamedTuple):
    action: AuditAction.ValueType
    user_id: str = ""
    class_id: str = ""
    details: Mapping[str, str] = {}


async def apply(transaction: Transaction, plan: Plan, by_user_id: str) -> None:
    """Applies all changes of a plan.

    Raises ServiceUnavailable if another transaction has taken a login identifier of the roster.
    """
    ids = await _new_ids(transaction, plan)
    await _apply_users(transaction, plan, ids)
    await _apply_classes(transaction, plan, ids)
    await _apply_memberships(transaction, plan, ids, by_user_id)
    # Pipelined, because an import can have thousands of entries: no round trip for each of them.
    async with transaction.connection.pipeline():
        for entry in _audit_entries(plan, ids):
            await audit.record(
                transaction,
                entry.action,
                user_id=entry.user_id,
                class_id=entry.class_id,
                **entry.details,
            )


async def _new_ids(transaction: Transaction, plan: Plan) -> dict[str, str]:
    """Returns the ids of the users and classes to add, by their keys in the plan."""
    keys = [new_key(user.sourced_id) for user in plan.new_users]
    keys += [new_key(sourced_id) for sourced_id, _ in plan.new_classes]
    return dict(zip(keys, await bulk_store.new_ids(transaction, len(keys)), strict=True))


async def _apply_users(transaction: Transaction, plan: Plan, ids: Mapping[str, str]) -> None:
    run = bulk_store.run
    columns: tuple[str, ...] = ("user_id", "name", "display_name", "nickname", "role", "grade")
    users = [
        (ids[new_key(user.sourced_id)], *_names(user.name), user.role, user.grade) for user in plan.new_users
    ]
    await run(transaction, bulk_store.ADD_USERS, users, *columns)
    claims = [(claim.user_id, claim.canonical) for claim in plan.released_claims]
    await run(transaction, bulk_store.RELEASE_CLAIMS, claims, "user_id", "canonical")
    identifiers = [*_identifiers(plan, ids)]
    columns = ("user_id", "kind", "value", "canonical")
    if await run(transaction, bulk_store.ADD_IDENTIFIERS, identifiers, *columns) < len(identifiers):
        raise ServiceUnavailable("An address of the roster was taken during the import. Try again.")
    roster_users = [(user.sourced_id, ids[new_key(user.sourced_id)]) for user in plan.new_users]
    roster_users += plan.matched_users
    await run(transaction, bulk_store.ADD_ROSTER_USERS, roster_users, "sourced_id", "user_id")
    await run(transaction, bulk_store.RENAME_USERS, plan.renamed_users, *RenamedUser._fields)
    promoted = [(user_id,) for user_id, _ in plan.promoted_users]
    await run(transaction, bulk_store.PROMOTE_USERS, promoted, "user_id")


def _names(full_name: str) -> tuple[str, str, str]:
    """Returns the full name, the display name and the nickname of a new user."""
    display_name = default_display_name(full_name)
    return full_name, display_name, default_nickname(display_name)


def _identifiers(plan: Plan, ids: Mapping[str, str]) -> Iterator[tuple[str, str, str, str]]:
    """Yields the login identifiers to add. They are unverified until the users verify them."""
    for user in plan.new_users:
        given = (("LOGIN_NAME", user.login_name), ("EMAIL", user.email), ("PHONE", user.phone))
        for kind, value in given:
            if value:
                yield ids[new_key(user.sourced_id)], kind, value, canonicalize(value)
    for user_id, kind, value in plan.new_addresses:
        yield user_id, kind, value, canonicalize(value)


async def _apply_classes(transaction: Transaction, plan: Plan, ids: Mapping[str, str]) -> None:
    run = bulk_store.run
    classes = [
        (ids[new_key(sourced_id)], title, class_rules.new_join_code(secrets.choice))
        for sourced_id, title in plan.new_classes
    ]
    columns = ("class_id", "title", "join_code")
    await run(transaction, bulk_store.ADD_CLASSES, classes, *columns)
    await run(transaction, bulk_store.ADD_JOIN_CODES, classes, *columns)
    roster_classes = [(sourced_id, ids[new_key(sourced_id)]) for sourced_id, _ in plan.new_classes]
    await run(transaction, bulk_store.ADD_ROSTER_CLASSES, roster_classes, "sourced_id", "class_id")
    await run(transaction, bulk_store.RENAME_CLASSES, plan.renamed_classes, "class_id", "title")
    archived = [(class_id,) for class_id in plan.archived_classes]
    await run(transaction, bulk_store.ARCHIVE_CLASSES, archived, "class_id")
    for class_id in plan.archived_classes:
        await account_feed.publish_class_changed(transaction, class_id, ClassState.CLASS_STATE_ARCHIVED)


async def _apply_memberships(
    transaction: Transaction, plan: Plan, ids: Mapping[str, str], by_user_id: str
) -> None:
    run = bulk_store.run
    columns = ("class_id", "user_id", "role", "sourced_id")
    added = [_membership(new, ids) for new in plan.added_enrollments]
    await run(transaction, bulk_store.ADD_MEMBERSHIPS, added, *columns)
    await run(transaction, bulk_store.ADD_MEMBERSHIPS_BY_USER, added, *columns)
    changed = [_membership(new, ids) for new in plan.changed_enrollments]
    await run(transaction, bulk_store.CHANGE_MEMBERSHIPS, changed, *columns)
    await run(transaction, bulk_store.CHANGE_MEMBERSHIPS_BY_USER, changed, *columns)
    ended = [enrollment for enrollment, _ in plan.ended_enrollments]
    await run(transaction, bulk_store.END_MEMBERSHIPS, ended, *columns[:2], ended_by_user_id=by_user_id)
    await run(transaction, bulk_store.END_MEMBERSHIPS_BY_USER, ended, *columns[:2])
    demoted = {
        new.enrollment.user_key
        for new in plan.changed_enrollments
        if must_revoke_tokens(new.previous_role, new.role)
    }
    user_ids = {enrollment.user_key for enrollment in ended} | demoted
    await account_feed.revoke_tokens_of_users(transaction, sorted(user_ids))


def _membership(new: NewEnrollment, ids: Mapping[str, str]) -> tuple[str, str, str, str]:
    enrollment = _with_ids(new.enrollment, ids)
    return enrollment.class_key, enrollment.user_key, new.role, new.sourced_id


def _with_ids(enrollment: Enrollment, ids: Mapping[str, str]) -> Enrollment:
    return Enrollment(*(ids.get(key, key) for key in enrollment))


def _audit_entries(plan: Plan, ids: Mapping[str, str]) -> Iterator[_AuditEntry]:
    """Yields an entry for each lost claim, changed role, class and membership, and one for the import."""
    for user in plan.new_users:
        user_id = ids[new_key(user.sourced_id)]
        yield _AuditEntry(AuditAction.AUDIT_ACTION_USER_CREATED, user_id, details={"role": user.role})
    for claim in plan.released_claims:
        yield _AuditEntry(AuditAction.AUDIT_ACTION_CLAIM_LOST, claim.user_id, details={"kind": claim.kind})
    for user_id, previous_role in plan.promoted_users:
        roles = {"before": previous_role, "after": "TEACHER"}
        yield _AuditEntry(AuditAction.AUDIT_ACTION_USER_ROLE_SET, user_id, details=roles)
    for sourced_id, _ in plan.new_classes:
        yield _AuditEntry(AuditAction.AUDIT_ACTION_CLASS_CREATED, class_id=ids[new_key(sourced_id)])
    for class_id in plan.archived_classes:
        yield _AuditEntry(AuditAction.AUDIT_ACTION_CLASS_ARCHIVED, class_id=class_id)
    for new in plan.added_enrollments:
        class_id, user_id = _with_ids(new.enrollment, ids)
        reason = {"role": new.role, "how": "ROSTER"}
        yield _AuditEntry(AuditAction.AUDIT_ACTION_MEMBERSHIP_ADDED, user_id, class_id, reason)
    for new in plan.changed_enrollments:
        if new.previous_role != new.role:
            class_id, user_id = new.enrollment
            roles = {"before": new.previous_role, "after": new.role}
            yield _AuditEntry(AuditAction.AUDIT_ACTION_MEMBERSHIP_ROLE_SET, user_id, class_id, roles)
    for (class_id, user_id), _ in plan.ended_enrollments:
        yield _AuditEntry(AuditAction.AUDIT_ACTION_MEMBERSHIP_ENDED, user_id, class_id, {"how": "ROSTER"})
    counts = {
        f"{file.removesuffix('.csv')}_{change.lower()}": str(count)
        for (file, change), count in plan.count_rows().items()
    }
    yield _AuditEntry(AuditAction.AUDIT_ACTION_ROSTER_IMPORTED, details=counts)
