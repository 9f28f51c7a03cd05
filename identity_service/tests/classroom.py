"""A class with its teacher, and the calls that tests make about it."""

from dataclasses import dataclass
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from identity_service.tests.conftest import Identity, Person
from meno.access.v1.access_pb2 import ClassRole
from meno.identity.v1.class_service_pb2 import (
    AddMembershipRequest,
    ApproveMembershipRequest,
    ArchiveClassRequest,
    DeleteClassRequest,
    JoinClassRequest,
    LeaveClassRequest,
    ListMembershipsRequest,
    RejectMembershipRequest,
    RemoveMembershipRequest,
    RotateJoinCodeRequest,
    SetMembershipRoleRequest,
    UnarchiveClassRequest,
    UndeleteClassRequest,
    UpdateClassRequest,
)
from meno.identity.v1.resources_pb2 import Class, JoinPolicy, Membership, MembershipStatus

STUDENT = ClassRole.CLASS_ROLE_STUDENT
TEACHER = ClassRole.CLASS_ROLE_TEACHER


@dataclass
class Classroom:
    """Makes calls about one class. `by` is the caller."""

    identity: Identity
    teacher: Person
    class_info: Class

    @classmethod
    async def create(cls, identity: Identity) -> "Classroom":
        teacher = await identity.sign_up_teacher()
        return cls(identity, teacher, await identity.create_class(teacher))

    async def update(self, by: Person, *, etag: str = "", **fields: Any) -> Class:
        request = UpdateClassRequest(
            class_id=self.class_info.class_id,
            class_info=Class(**fields),
            update_mask=FieldMask(paths=[*fields]),
            etag=etag,
        )
        return await self.identity.classes.UpdateClass(request, **by.auth)

    async def require_approval(self) -> None:
        await self.update(self.teacher, join_policy=JoinPolicy.JOIN_POLICY_APPROVAL)

    async def archive(self, by: Person) -> Class:
        request = ArchiveClassRequest(class_id=self.class_info.class_id)
        return await self.identity.classes.ArchiveClass(request, **by.auth)

    async def unarchive(self, by: Person) -> Class:
        request = UnarchiveClassRequest(class_id=self.class_info.class_id)
        return await self.identity.classes.UnarchiveClass(request, **by.auth)

    async def delete(self, by: Person, etag: str = "") -> Class:
        request = DeleteClassRequest(class_id=self.class_info.class_id, etag=etag)
        return await self.identity.classes.DeleteClass(request, **by.auth)

    async def undelete(self, by: Person) -> Class:
        request = UndeleteClassRequest(class_id=self.class_info.class_id)
        return await self.identity.classes.UndeleteClass(request, **by.auth)

    async def rotate(self, by: Person) -> Class:
        request = RotateJoinCodeRequest(class_id=self.class_info.class_id)
        return await self.identity.classes.RotateJoinCode(request, **by.auth)

    async def join(self, by: Person, join_code: str = "") -> Membership:
        request = JoinClassRequest(user_id="me", join_code=join_code or self.class_info.join_code)
        return await self.identity.classes.JoinClass(request, **by.auth)

    async def leave(self, by: Person) -> None:
        request = LeaveClassRequest(class_id=self.class_info.class_id, user_id="me")
        await self.identity.classes.LeaveClass(request, **by.auth)

    async def add(self, by: Person, user_id: str, role: ClassRole.ValueType = STUDENT) -> Membership:
        request = AddMembershipRequest(class_id=self.class_info.class_id, user_id=user_id, role=role)
        return await self.identity.classes.AddMembership(request, **by.auth)

    async def approve(self, by: Person, user_id: str) -> Membership:
        request = ApproveMembershipRequest(class_id=self.class_info.class_id, user_id=user_id)
        return await self.identity.classes.ApproveMembership(request, **by.auth)

    async def reject(self, by: Person, user_id: str) -> None:
        request = RejectMembershipRequest(class_id=self.class_info.class_id, user_id=user_id)
        await self.identity.classes.RejectMembership(request, **by.auth)

    async def set_role(self, by: Person, user_id: str, role: ClassRole.ValueType) -> Membership:
        request = SetMembershipRoleRequest(class_id=self.class_info.class_id, user_id=user_id, role=role)
        return await self.identity.classes.SetMembershipRole(request, **by.auth)

    async def remove(self, by: Person, user_id: str) -> None:
        request = RemoveMembershipRequest(class_id=self.class_info.class_id, user_id=user_id)
        await self.identity.classes.RemoveMembership(request, **by.auth)

    async def list_members(
        self,
        by: Person,
        status: MembershipStatus.ValueType = MembershipStatus.MEMBERSHIP_STATUS_ACTIVE,
    ) -> list[Membership]:
        request = ListMembershipsRequest(class_id=self.class_info.class_id, status=status)
        return [*(await self.identity.classes.ListMemberships(request, **by.auth)).memberships]

    def stored_membership(self, user_id: str) -> tuple[str | None, bool]:
        """Returns the stored status of a membership, and whether tokens of the user will list the class."""
        key = (self.class_info.class_id, user_id)
        statuses = self.identity.read_column(
            "SELECT status FROM class_memberships WHERE class_id = %s AND user_id = %s", *key
        )
        listed = self.identity.execute_sql(
            "SELECT 1 FROM user_classes WHERE class_id = %s AND user_id = %s", *key
        )
        return statuses[0] if statuses else None, bool(listed)
