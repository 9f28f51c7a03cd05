"""ClassService."""

from datetime import UTC, datetime

from google.protobuf.empty_pb2 import Empty

from chassis import etags, paging
from chassis.calls import Context, caller
from chassis.database import Database, Transaction
from chassis.idempotency import write
from chassis.wire import Spelling, timestamp
from identity_service.accounts import store as accounts
from identity_service.classes import rules, store
from identity_service.classes.store import ClassOfUserRow, ClassRow, MembershipRow
from identity_service.errors import (
    ClassNotFound,
    JoinCodeUnknown,
    LastTeacher,
    MembershipNotFound,
    TooManyClasses,
)
from identity_service.users import store as users
from meno.access.v1.access_pb2 import ClassRole
from meno.identity.v1.class_service_pb2 import (
    Class,
    CreateClassRequest,
    GetClassRequest,
    JoinClassRequest,
    LeaveClassRequest,
    ListClassesRequest,
    ListClassesResponse,
    ListMembershipsRequest,
    ListMembershipsResponse,
    Membership,
    RemoveMembershipRequest,
    SetMembershipRoleRequest,
)
from meno.identity.v1.class_service_pb2_grpc import ClassServiceServicer

CLASS_ROLES = Spelling(ClassRole)

_BEFORE_ALL = datetime(1, 1, 1, tzinfo=UTC)
_AFTER_ALL = datetime(9999, 12, 31, tzinfo=UTC)


class ClassServicer(ClassServiceServicer):
    """Classes and who is in them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def CreateClass(self, request: CreateClassRequest, context: Context) -> Class:
        async with write(self._database) as transaction:
            await _make_room(transaction, caller().user_id)
            code = rules.new_join_code()
            row = await store.add(transaction, request.title, request.description, code)
            await store.join(transaction, row.class_id, caller().user_id, "TEACHER")
            return transaction.answer(_class(row, "TEACHER"))

    async def GetClass(self, request: GetClassRequest, context: Context) -> Class:
        row = await store.get(self._database, request.class_id)
        if row is None:
            raise ClassNotFound(request.class_id)
        return _class(row, caller().classes.get(row.class_id))

    async def ListClasses(self, request: ListClassesRequest, context: Context) -> ListClassesResponse:
        before, before_id = paging.position(request, (_AFTER_ALL, paging.AFTER_ALL_IDS))
        limit = paging.size(request) + 1
        rows = await store.of_user(self._database, request.user_id, before, before_id, limit)
        rows, following = paging.page(request, rows, lambda row: (row.joined_at, row.class_id))
        return ListClassesResponse(classes=[_class(row, row.role) for row in rows], next_page_token=following)

    async def JoinClass(self, request: JoinClassRequest, context: Context) -> Membership:
        async with write(self._database) as transaction:
            class_id = await store.by_join_code(transaction, rules.normal_join_code(request.join_code))
            if class_id is None or not await store.lock(transaction, class_id):
                raise JoinCodeUnknown()
            row = await store.membership(transaction, class_id, request.user_id)
            if row is None:
                await _make_room(transaction, request.user_id)
                await store.join(transaction, class_id, request.user_id, "STUDENT")
                row = await store.membership(transaction, class_id, request.user_id)
            if row is None:
                raise JoinCodeUnknown()
            return transaction.answer(_membership(row))

    async def LeaveClass(self, request: LeaveClassRequest, context: Context) -> Empty:
        return await self._end(request.class_id, request.user_id, "LEFT")

    async def ListMemberships(
        self, request: ListMembershipsRequest, context: Context
    ) -> ListMembershipsResponse:
        after, after_id = paging.position(request, (_BEFORE_ALL, paging.BEFORE_ALL_IDS))
        limit = paging.size(request) + 1
        rows = await store.memberships(self._database, request.class_id, after, after_id, limit)
        rows, following = paging.page(request, rows, lambda row: (row.created_at, row.user_id))
        return ListMembershipsResponse(
            memberships=[_membership(row) for row in rows], next_page_token=following
        )

    async def SetMembershipRole(self, request: SetMembershipRoleRequest, context: Context) -> Membership:
        role = CLASS_ROLES.text(request.role)
        async with write(self._database) as transaction:
            row = await _locked_membership(transaction, request.class_id, request.user_id)
            if row.role == "TEACHER" and role != "TEACHER":
                await _keep_a_teacher(transaction, row)
                await accounts.lose_rights(transaction, row.user_id)
            await store.set_role(transaction, row.class_id, row.user_id, role)
            return transaction.answer(_membership(row._replace(role=role)))

    async def RemoveMembership(self, request: RemoveMembershipRequest, context: Context) -> Empty:
        return await self._end(request.class_id, request.user_id, "REMOVED")

    async def _end(self, class_id: str, user_id: str, ending: str) -> Empty:
        async with write(self._database) as transaction:
            row = await _locked_membership(transaction, class_id, user_id)
            await _keep_a_teacher(transaction, row)
            await store.end(transaction, class_id, user_id, ending, caller().user_id)
            await accounts.lose_rights(transaction, user_id)
            return transaction.answer(Empty())


async def _make_room(transaction: Transaction, user_id: str) -> None:
    """Passes where the person may enter one more class; no other call lets them in meanwhile."""
    await users.locked(transaction, user_id)
    if len(await store.roles(transaction, user_id)) >= rules.MAX_CLASSES:
        raise TooManyClasses(rules.MAX_CLASSES)


async def _locked_membership(transaction: Transaction, class_id: str, user_id: str) -> MembershipRow:
    if not await store.lock(transaction, class_id):
        raise ClassNotFound(class_id)
    row = await store.membership(transaction, class_id, user_id)
    if row is None:
        raise MembershipNotFound(class_id, user_id)
    return row


async def _keep_a_teacher(transaction: Transaction, row: MembershipRow) -> None:
    if rules.loses_last_teacher(await store.teachers(transaction, row.class_id), row.user_id):
        raise LastTeacher(row.class_id)


def _class(row: ClassRow | ClassOfUserRow, my_role: str | None) -> Class:
    return Class(
        class_id=row.class_id,
        title=row.title,
        description=row.description,
        join_code=row.join_code if my_role == "TEACHER" else "",
        my_role=CLASS_ROLES.number(my_role) if my_role else ClassRole.CLASS_ROLE_UNSPECIFIED,
        create_time=timestamp(row.created_at),
        update_time=timestamp(row.updated_at),
        etag=etags.etag(row.version),
    )


def _membership(row: MembershipRow) -> Membership:
    return Membership(
        class_id=row.class_id,
        user_id=row.user_id,
        display_name=row.display_name,
        role=CLASS_ROLES.number(row.role),
        create_time=timestamp(row.created_at),
    )
