"""The RPCs of ClassService about memberships."""

from google.protobuf.empty_pb2 import Empty

from chassis import paging
from chassis.calls import Context, caller
from chassis.database import Database
from chassis.idempotency import write
from identity_service.classes.memberships import commands, store
from identity_service.classes.memberships.messages import STATUSES, to_message
from identity_service.classes.messages import CLASS_ROLES
from meno.access.v1.access_pb2 import ClassRole
from meno.identity.v1.class_service_pb2 import (
    AddMembershipRequest,
    ApproveMembershipRequest,
    JoinClassRequest,
    LeaveClassRequest,
    ListMembershipsRequest,
    ListMembershipsResponse,
    RejectMembershipRequest,
    RemoveMembershipRequest,
    SetMembershipRoleRequest,
)
from meno.identity.v1.resources_pb2 import Membership, MembershipStatus


class MembershipServicer:
    """Handles the RPCs about memberships."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def JoinClass(self, request: JoinClassRequest, context: Context) -> Membership:
        async with write(self._database) as transaction:
            row = await commands.join_class(transaction, request.join_code, request.user_id)
            return transaction.respond(to_message(row))

    async def LeaveClass(self, request: LeaveClassRequest, context: Context) -> Empty:
        async with write(self._database) as transaction:
            await commands.leave_class(transaction, request.class_id, request.user_id)
            return transaction.respond(Empty())

    async def ListMemberships(
        self, request: ListMembershipsRequest, context: Context
    ) -> ListMembershipsResponse:
        status = STATUSES.name(request.status or MembershipStatus.MEMBERSHIP_STATUS_ACTIVE)
        after = paging.decode_page_token(request, (paging.MIN_TIMESTAMP, paging.MIN_UUID))
        limit = paging.size(request) + 1
        rows = await store.list_by_class(self._database, request.class_id, status, after, limit)
        rows, next_page_token = paging.page(request, rows, lambda row: (row.created_at, row.user_id))
        return ListMembershipsResponse(memberships=map(to_message, rows), next_page_token=next_page_token)

    async def AddMembership(self, request: AddMembershipRequest, context: Context) -> Membership:
        role = CLASS_ROLES.name(request.role or ClassRole.CLASS_ROLE_STUDENT)
        async with write(self._database) as transaction:
            row = await commands.add_membership(
                transaction, request.class_id, request.user_id, role, adder_role=caller().role
            )
            return transaction.respond(to_message(row))

    async def ApproveMembership(self, request: ApproveMembershipRequest, context: Context) -> Membership:
        async with write(self._database) as transaction:
            row = await commands.approve_membership(transaction, request.class_id, request.user_id)
            return transaction.respond(to_message(row))

    async def RejectMembership(self, request: RejectMembershipRequest, context: Context) -> Empty:
        async with write(self._database) as transaction:
            await commands.reject_membership(
                transaction, request.class_id, request.user_id, by_user_id=caller().user_id
            )
            return transaction.respond(Empty())

    async def SetMembershipRole(self, request: SetMembershipRoleRequest, context: Context) -> Membership:
        role = CLASS_ROLES.name(request.role)
        async with write(self._database) as transaction:
            row = await commands.set_membership_role(
                transaction, request.class_id, request.user_id, role, by_role=caller().role
            )
            return transaction.respond(to_message(row))

    async def RemoveMembership(self, request: RemoveMembershipRequest, context: Context) -> Empty:
        async with write(self._database) as transaction:
            await commands.remove_membership(transaction, request.class_id, request.user_id, by=caller())
            return transaction.respond(Empty())
