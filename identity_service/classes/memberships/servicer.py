"""The part of ClassService that is about who is in a class."""

from datetime import UTC, datetime

from google.protobuf.empty_pb2 import Empty

from chassis import audit, paging
from chassis.calls import Context, caller
from chassis.database import Database, Transaction
from chassis.idempotency import write
from chassis.wire import Spelling, timestamp
from identity_service.account_feed import store as accounts
from identity_service.classes import locking
from identity_service.classes import rules as class_rules
from identity_service.classes import store as classes
from identity_service.classes.memberships import entering, rules, store, teaching
from identity_service.classes.memberships.store import MembershipRow
from identity_service.classes.messages import CLASS_ROLES
from identity_service.errors import (
    JoinCodeUnknown,
    MembershipNotFound,
    MembershipNotPending,
    UserNotFound,
)
from meno.access.v1.access_pb2 import ClassRole
from meno.access.v1.audit_service_pb2 import AuditAction
from meno.identity.v1.class_service_pb2 import (
    AddMembershipRequest,
    ApproveMembershipRequest,
    JoinClassRequest,
    LeaveClassRequest,
    ListMembershipsRequest,
    ListMembershipsResponse,
    Membership,
    MembershipStatus,
    RejectMembershipRequest,
    RemoveMembershipRequest,
    SetMembershipRoleRequest,
)

_STATUSES = Spelling(MembershipStatus)
_BEFORE_ALL = datetime(1, 1, 1, tzinfo=UTC)


class MembershipServicer:
    """Lets people into classes and out again, and shows who is there."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def JoinClass(self, request: JoinClassRequest, context: Context) -> Membership:
        code, user_id = class_rules.normal_join_code(request.join_code), request.user_id
        async with write(self._database) as transaction:
            class_id = await classes.by_join_code(transaction, code)
            row = await classes.locked(transaction, class_id) if class_id else None
            if row is None or not class_rules.opens(code, row):
                raise JoinCodeUnknown()
            before = await store.get(transaction, row.class_id, user_id)
            status = rules.after_joining(before and before.status, row.join_policy)
            if status is None:
                raise JoinCodeUnknown()
            if before is None or before.status != status:
                await entering.make_room(transaction, user_id)
                if status == rules.MEMBER:
                    await entering.enter(transaction, row.class_id, user_id, "STUDENT", how="JOINED")
                else:
                    await store.put(transaction, row.class_id, user_id, "STUDENT", status)
            return transaction.answer(await _membership(transaction, row.class_id, user_id))

    async def LeaveClass(self, request: LeaveClassRequest, context: Context) -> Empty:
        async with write(self._database) as transaction:
            left = await classes.locked(transaction, request.class_id)
            if left is None or left.deleted_at is not None:
                # To who is not in it, a class is as good as none.
                raise MembershipNotFound(request.class_id, request.user_id)
            row = await _found(transaction, request.class_id, request.user_id, rules.MEMBER, rules.WAITS)
            await _end(transaction, row, "LEFT")
            return transaction.answer(Empty())

    async def ListMemberships(
        self, request: ListMembershipsRequest, context: Context
    ) -> ListMembershipsResponse:
        status = _STATUSES.text(request.status or MembershipStatus.MEMBERSHIP_STATUS_ACTIVE)
        after = paging.position(request, (_BEFORE_ALL, paging.BEFORE_ALL_IDS))
        limit = paging.size(request) + 1
        rows = await store.listed(self._database, request.class_id, status, after, limit)
        rows, following = paging.page(request, rows, lambda row: (row.created_at, row.user_id))
        return ListMembershipsResponse(memberships=map(_message, rows), next_page_token=following)

    async def AddMembership(self, request: AddMembershipRequest, context: Context) -> Membership:
        role = CLASS_ROLES.text(request.role or ClassRole.CLASS_ROLE_STUDENT)
        class_id, user_id = request.class_id, request.user_id
        async with write(self._database) as transaction:
            await locking.in_use(transaction, class_id)
            before = await store.get(transaction, class_id, user_id)
            if not rules.may_add(before and before.status, caller().role):
                raise UserNotFound(user_id)
            if before is None or before.status != rules.MEMBER:
                if await store.is_guest(transaction, user_id):
                    raise UserNotFound(user_id)
                await entering.make_room(transaction, user_id)
                await entering.enter(transaction, class_id, user_id, role, how="ADDED")
            return transaction.answer(await _membership(transaction, class_id, user_id))

    async def ApproveMembership(self, request: ApproveMembershipRequest, context: Context) -> Membership:
        async with write(self._database) as transaction:
            await locking.in_use(transaction, request.class_id)
            row = await _waiting(transaction, request.class_id, request.user_id)
            await entering.make_room(transaction, row.user_id)
            await entering.enter(transaction, row.class_id, row.user_id, row.role, how="APPROVED")
            return transaction.answer(await _membership(transaction, row.class_id, row.user_id))

    async def RejectMembership(self, request: RejectMembershipRequest, context: Context) -> Empty:
        async with write(self._database) as transaction:
            await locking.present(transaction, request.class_id)
            row = await _waiting(transaction, request.class_id, request.user_id)
            await _end(transaction, row, "REJECTED")
            return transaction.answer(Empty())

    async def SetMembershipRole(self, request: SetMembershipRoleRequest, context: Context) -> Membership:
        role = CLASS_ROLES.text(request.role)
        async with write(self._database) as transaction:
            await locking.in_use(transaction, request.class_id)
            row = await _found(transaction, request.class_id, request.user_id, rules.MEMBER)
            if row.role != role:
                if row.role == "TEACHER":
                    await teaching.check_replaceable(transaction, row.user_id, row.class_id)
                    await accounts.lose_rights(transaction, row.user_id)
                await store.set_role(transaction, row.class_id, row.user_id, role)
                await audit.record(
                    transaction,
                    AuditAction.AUDIT_ACTION_MEMBERSHIP_ROLE_SET,
                    user_id=row.user_id,
                    class_id=row.class_id,
                    before=row.role,
                    after=role,
                )
            return transaction.answer(_message(row._replace(role=role)))

    async def RemoveMembership(self, request: RemoveMembershipRequest, context: Context) -> Empty:
        async with write(self._database) as transaction:
            await locking.present(transaction, request.class_id)
            row = await _found(transaction, request.class_id, request.user_id, rules.MEMBER)
            await _end(transaction, row, "REMOVED")
            return transaction.answer(Empty())


async def _end(transaction: Transaction, row: MembershipRow, status: str) -> None:
    """Ends a membership, and every token that claims it; or a wait, of which no token tells."""
    if row.status == rules.MEMBER:
        if row.role == "TEACHER":
            await teaching.check_replaceable(transaction, row.user_id, row.class_id)
        await accounts.lose_rights(transaction, row.user_id)
    await store.end(transaction, row.class_id, row.user_id, status, caller().user_id)
    await audit.record(
        transaction,
        AuditAction.AUDIT_ACTION_MEMBERSHIP_ENDED,
        user_id=row.user_id,
        class_id=row.class_id,
        how=status,
    )


async def _found(transaction: Transaction, class_id: str, user_id: str, *statuses: str) -> MembershipRow:
    row = await store.get(transaction, class_id, user_id)
    if row is None or row.status not in statuses:
        raise MembershipNotFound(class_id, user_id)
    return row


async def _waiting(transaction: Transaction, class_id: str, user_id: str) -> MembershipRow:
    """Somebody who waits to be let in. Raises MembershipNotFound, or MembershipNotPending for a member."""
    row = await _found(transaction, class_id, user_id, rules.MEMBER, rules.WAITS)
    if row.status == rules.MEMBER:
        raise MembershipNotPending(class_id, user_id)
    return row


async def _membership(transaction: Transaction, class_id: str, user_id: str) -> Membership:
    row = await store.get(transaction, class_id, user_id)
    assert row is not None, "it was put there in this transaction"
    return _message(row)


def _message(row: MembershipRow) -> Membership:
    return Membership(
        class_id=row.class_id,
        user_id=row.user_id,
        display_name=row.display_name,
        role=CLASS_ROLES.number(row.role),
        status=_STATUSES.number(row.status),
        create_time=timestamp(row.created_at),
        rostered=row.roster_sourced_id is not None,
    )
