"""Use cases of memberships. Each takes the transaction of the call.

Locks are always taken in this order, so that no two calls wait for each other: the class, the user, the
teachers (`store.lock_teachers`), the account feed.
"""

from chassis import audit
from chassis.calls import Caller
from chassis.database import Transaction
from identity_service.account_feed import commands as account_feed
from identity_service.classes import commands as class_commands
from identity_service.classes import rules as class_rules
from identity_service.classes import store as class_store
from identity_service.classes.memberships import rules, store
from identity_service.classes.memberships.types import MembershipRow
from identity_service.errors import (
    AdminMemberProtected,
    JoinCodeNotFound,
    LastTeacher,
    MembershipNotFound,
    MembershipNotPending,
    UserNotFound,
)
from identity_service.people.users import store as users
from meno.access.v1.resources_pb2 import AuditAction


async def join_class(transaction: Transaction, join_code: str, user_id: str) -> MembershipRow:
    """Makes the user a student of the class with this join code, or a pending member if it needs approval.

    Returns the existing membership if the user is a member or pending already. Raises JoinCodeNotFound, also
    if the class takes no new members or if the user was removed from it. Raises TooManyClasses or
    UserNotFound.
    """
    code = class_rules.normalize_join_code(join_code)
    class_id = await class_store.get_id_by_join_code(transaction, code)
    row = await class_store.get_for_update(transaction, class_id) if class_id else None
    if row is None or not class_rules.matches_join_code(row, code):
        raise JoinCodeNotFound()
    previous = await store.get(transaction, row.class_id, user_id)
    status = rules.status_after_join(previous and previous.status, row.join_policy)
    if status is None:
        raise JoinCodeNotFound()
    if previous is None or previous.status != status:
        await class_commands.check_class_limit(transaction, user_id)
        if status == rules.ACTIVE:
            await _add_member(transaction, row.class_id, user_id, "STUDENT", how="JOINED")
        else:
            await store.put(transaction, row.class_id, user_id, "STUDENT", status)
    return await _reload(transaction, row.class_id, user_id)


async def leave_class(transaction: Transaction, class_id: str, user_id: str) -> None:
    """Ends the caller's own membership, active or pending. Raises MembershipNotFound or LastTeacher."""
    row = await class_store.get_for_update(transaction, class_id)
    if row is None or row.deleted_at is not None:
        # The same error as for a class that exists: do not reveal to non-members whether a class exists.
        raise MembershipNotFound(class_id, user_id)
    membership = await _get(transaction, class_id, user_id, rules.ACTIVE, rules.PENDING)
    await _end(transaction, membership, rules.LEFT, by_user_id=user_id)


async def add_membership(
    transaction: Transaction, class_id: str, user_id: str, role: str, adder_role: str
) -> MembershipRow:
    """Makes a user a member. Returns the existing membership if the user is a member already.

    `adder_role` is the global role of the caller. Raises ClassNotFound, ClassArchived or TooManyClasses.
    Raises UserNotFound for guests, and for users that the caller may not add.
    """
    await class_commands.lock_active(transaction, class_id)
    previous = await store.get(transaction, class_id, user_id)
    if not rules.may_add(previous and previous.status, adder_role):
        raise UserNotFound(user_id)
    if previous is None or previous.status != rules.ACTIVE:
        if await store.is_guest(transaction, user_id):
            raise UserNotFound(user_id)
        await class_commands.check_class_limit(transaction, user_id)
        await _add_member(transaction, class_id, user_id, role, how="ADDED")
    return await _reload(transaction, class_id, user_id)


async def approve_membership(transaction: Transaction, class_id: str, user_id: str) -> MembershipRow:
    """Makes a pending member an active one.

    Raises ClassNotFound, ClassArchived, MembershipNotFound, MembershipNotPending, TooManyClasses or
    UserNotFound.
    """
    await class_commands.lock_active(transaction, class_id)
    row = await _get_pending(transaction, class_id, user_id)
    await class_commands.check_class_limit(transaction, user_id)
    await _add_member(transaction, class_id, user_id, row.role, how="APPROVED")
    return await _reload(transaction, class_id, user_id)


async def reject_membership(transaction: Transaction, class_id: str, user_id: str, by_user_id: str) -> None:
    """Ends a pending membership. Raises ClassNotFound, MembershipNotFound or MembershipNotPending."""
    await class_commands.lock_existing(transaction, class_id)
    row = await _get_pending(transaction, class_id, user_id)
    await _end(transaction, row, rules.REJECTED, by_user_id)


async def set_membership_role(
    transaction: Transaction, class_id: str, user_id: str, role: str, by_role: str
) -> MembershipRow:
    """Changes the class role of a member. Revokes the member's tokens if the change takes rights away.

    `by_role` is the global role of the caller. Raises ClassNotFound, ClassArchived, MembershipNotFound,
    AdminMemberProtected or LastTeacher.
    """
    await class_commands.lock_active(transaction, class_id)
    row = await _get(transaction, class_id, user_id, rules.ACTIVE)
    if row.role == role:
        return row
    if rules.must_revoke_tokens(row.role, role):
        if rules.is_protected(row.global_role, by_role):
            raise AdminMemberProtected(class_id, user_id)
        await check_not_last_teacher(transaction, user_id, class_id)
        await account_feed.revoke_tokens(transaction, user_id)
    await store.set_role(transaction, class_id, user_id, role)
    await audit.record(
        transaction,
        AuditAction.AUDIT_ACTION_MEMBERSHIP_ROLE_SET,
        user_id=user_id,
        class_id=class_id,
        before=row.role,
        after=role,
    )
    return row._replace(role=role)


async def remove_membership(transaction: Transaction, class_id: str, user_id: str, by: Caller) -> None:
    """Ends the membership of another user.

    Raises ClassNotFound, MembershipNotFound, AdminMemberProtected or LastTeacher.
    """
    await class_commands.lock_existing(transaction, class_id)
    row = await _get(transaction, class_id, user_id, rules.ACTIVE)
    if rules.is_protected(row.global_role, by.role):
        raise AdminMemberProtected(class_id, user_id)
    await _end(transaction, row, rules.REMOVED, by.user_id)


async def check_not_last_teacher(
    transaction: Transaction, user_id: str, class_id: str | None = None, *, alternative: str = ""
) -> None:
    """Raises LastTeacher if the user is the only active teacher of this class, or of any active class.

    `alternative` is another remedy for the message of the error. Locks all teachers, so that no concurrent
    call takes the other teacher away.
    """
    await users.get_for_update(transaction, user_id, include_deleted=True)
    await store.lock_teachers(transaction)
    taught = await store.list_classes_with_single_teacher(transaction, user_id)
    if class_ids := [one for one in taught if class_id in (None, one)]:
        raise LastTeacher(*class_ids, alternative=alternative)


async def _add_member(transaction: Transaction, class_id: str, user_id: str, role: str, how: str) -> None:
    """`how` is the reason in the audit log. The caller has checked the class limit."""
    await store.put(transaction, class_id, user_id, role, rules.ACTIVE)
    await audit.record(
        transaction,
        AuditAction.AUDIT_ACTION_MEMBERSHIP_ADDED,
        user_id=user_id,
        class_id=class_id,
        role=role,
        how=how,
    )


async def _end(transaction: Transaction, row: MembershipRow, status: str, by_user_id: str) -> None:
    """Revokes the user's tokens if the membership is active. Tokens do not contain pending memberships."""
    if row.status == rules.ACTIVE:
        if row.role == "TEACHER":
            await check_not_last_teacher(transaction, row.user_id, row.class_id)
        await account_feed.revoke_tokens(transaction, row.user_id)
    await store.end(transaction, row.class_id, row.user_id, status, by_user_id)
    await audit.record(
        transaction,
        AuditAction.AUDIT_ACTION_MEMBERSHIP_ENDED,
        user_id=row.user_id,
        class_id=row.class_id,
        how=status,
    )


async def _get(transaction: Transaction, class_id: str, user_id: str, *statuses: str) -> MembershipRow:
    """Raises MembershipNotFound if the membership has none of these statuses."""
    row = await store.get(transaction, class_id, user_id)
    if row is None or row.status not in statuses:
        raise MembershipNotFound(class_id, user_id)
    return row


async def _get_pending(transaction: Transaction, class_id: str, user_id: str) -> MembershipRow:
    """Raises MembershipNotFound, or MembershipNotPending if the user is a member already."""
    row = await _get(transaction, class_id, user_id, rules.ACTIVE, rules.PENDING)
    if row.status == rules.ACTIVE:
        raise MembershipNotPending(class_id, user_id)
    return row


async def _reload(transaction: Transaction, class_id: str, user_id: str) -> MembershipRow:
    row = await store.get(transaction, class_id, user_id)
    assert row is not None, "this transaction has written it"
    return row
