"""Writes to classes and their members."""

from io import BytesIO
from typing import Any
from zipfile import ZipFile

from meno.access.v1.access_pb2 import ClassRole
from meno.identity.v1.class_service_pb2 import (
    AddMembershipRequest,
    ApproveMembershipRequest,
    ArchiveClassRequest,
    CreateClassRequest,
    DeleteClassRequest,
    ImportRosterRequest,
    JoinClassRequest,
    LeaveClassRequest,
    ListClassesRequest,
    RejectMembershipRequest,
    RemoveMembershipRequest,
    RotateJoinCodeRequest,
    SetMembershipRoleRequest,
    UnarchiveClassRequest,
    UndeleteClassRequest,
    UpdateClassRequest,
)
from meno.identity.v1.resources_pb2 import Class, JoinPolicy
from tests.end_to_end.writes.case import Cases
from tests.installation import Installation, new_id
from tests.people import Person

CASES = Cases()


@CASES.of("CreateClass")
async def _create_class(installation: Installation) -> Any:
    teacher = await installation.sign_up_teacher()

    async def count() -> int:
        listed = await teacher.classes.ListClasses(ListClassesRequest(user_id="me"), **teacher.auth)
        return len(listed.classes)

    return (teacher.classes.CreateClass, CreateClassRequest(title="Once"), teacher), count


async def _new_class(installation: Installation) -> tuple[Person, Class]:
    teacher = await installation.sign_up_teacher()
    return teacher, await installation.create_class(teacher)


@CASES.of("UpdateClass")
async def _update_class(installation: Installation) -> Any:
    teacher, created_class = await _new_class(installation)
    # The etag makes a second effect fail.
    request = UpdateClassRequest(
        class_id=created_class.class_id, class_info=Class(title="New"), etag=created_class.etag
    )
    return (teacher.classes.UpdateClass, request, teacher), None


@CASES.of("ArchiveClass")
async def _archive_class(installation: Installation) -> Any:
    admin, (_, created_class) = await installation.create_admin(), await _new_class(installation)
    return (admin.classes.ArchiveClass, ArchiveClassRequest(class_id=created_class.class_id), admin), None


@CASES.of("UnarchiveClass")
async def _unarchive_class(installation: Installation) -> Any:
    admin, (_, created_class) = await installation.create_admin(), await _new_class(installation)
    await admin.classes.ArchiveClass(ArchiveClassRequest(class_id=created_class.class_id), **admin.auth)
    return (admin.classes.UnarchiveClass, UnarchiveClassRequest(class_id=created_class.class_id), admin), None


@CASES.of("DeleteClass")
async def _delete_class(installation: Installation) -> Any:
    admin, (_, created_class) = await installation.create_admin(), await _new_class(installation)
    return (admin.classes.DeleteClass, DeleteClassRequest(class_id=created_class.class_id), admin), None


@CASES.of("UndeleteClass")
async def _undelete_class(installation: Installation) -> Any:
    admin, (_, created_class) = await installation.create_admin(), await _new_class(installation)
    await admin.classes.DeleteClass(DeleteClassRequest(class_id=created_class.class_id), **admin.auth)
    return (admin.classes.UndeleteClass, UndeleteClassRequest(class_id=created_class.class_id), admin), None


@CASES.of("RotateJoinCode")
async def _rotate_join_code(installation: Installation) -> Any:
    teacher, created_class = await _new_class(installation)
    return (
        teacher.classes.RotateJoinCode,
        RotateJoinCodeRequest(class_id=created_class.class_id),
        teacher,
    ), None


@CASES.of("AddMembership")
async def _add_membership(installation: Installation) -> Any:
    admin, (_, created_class) = await installation.create_admin(), await _new_class(installation)
    user_id = (await installation.sign_up_student()).tokens.user.user_id
    request = AddMembershipRequest(class_id=created_class.class_id, user_id=user_id)
    return (admin.classes.AddMembership, request, admin), None


async def _new_pending_member(installation: Installation) -> tuple[Person, dict[str, str]]:
    """Returns a teacher, and the ids of a class and of its pending member."""
    teacher, created_class = await _new_class(installation)
    approval = Class(join_policy=JoinPolicy.JOIN_POLICY_APPROVAL)
    policy = UpdateClassRequest(class_id=created_class.class_id, class_info=approval)
    await teacher.classes.UpdateClass(policy, **teacher.auth)
    student = await installation.sign_up_student()
    await installation.join_class(student, created_class)
    return teacher, {"class_id": created_class.class_id, "user_id": student.tokens.user.user_id}


@CASES.of("ApproveMembership")
async def _approve_membership(installation: Installation) -> Any:
    teacher, ids = await _new_pending_member(installation)
    return (teacher.classes.ApproveMembership, ApproveMembershipRequest(**ids), teacher), None


@CASES.of("RejectMembership")
async def _reject_membership(installation: Installation) -> Any:
    teacher, ids = await _new_pending_member(installation)
    return (teacher.classes.RejectMembership, RejectMembershipRequest(**ids), teacher), None


@CASES.of("ImportRoster")
async def _import_roster(installation: Installation) -> Any:
    admin = await installation.create_admin()
    packed = BytesIO()
    with ZipFile(packed, "w") as roster:
        versions = "manifest.version,1.0\noneroster.version,1.2\nfile.users,delta\n"
        roster.writestr("manifest.csv", f"propertyName,value\n{versions}")
        columns = "sourcedId,status,dateLastModified,enabledUser,username,givenName,familyName"
        roster.writestr("users.csv", f"{columns}\n{new_id()},active,,true,,Once,Only\n")
    # A second effect would add no user, so its response would differ.
    return (admin.classes.ImportRoster, ImportRosterRequest(archive=packed.getvalue()), admin), None


@CASES.of("JoinClass")
async def _join_class(installation: Installation) -> Any:
    teacher, student = await installation.sign_up_teacher(), await installation.sign_up_student()
    created_class = await installation.create_class(teacher)
    return (
        student.classes.JoinClass,
        JoinClassRequest(user_id="me", join_code=created_class.join_code),
        student,
    ), None


@CASES.of("LeaveClass")
async def _leave_class(installation: Installation) -> Any:
    teacher, student = await installation.sign_up_teacher(), await installation.sign_up_student()
    created_class = await installation.create_class(teacher)
    await installation.join_class(student, created_class)
    request = LeaveClassRequest(class_id=created_class.class_id, user_id="me")
    return (student.classes.LeaveClass, request, student), None


@CASES.of("RemoveMembership")
async def _remove_membership(installation: Installation) -> Any:
    teacher, student = await installation.sign_up_teacher(), await installation.sign_up_student()
    created_class = await installation.create_class(teacher)
    await installation.join_class(student, created_class)
    request = RemoveMembershipRequest(class_id=created_class.class_id, user_id=student.tokens.user.user_id)
    return (teacher.classes.RemoveMembership, request, teacher), None


@CASES.of("SetMembershipRole")
async def _set_membership_role(installation: Installation) -> Any:
    teacher, student = await installation.sign_up_teacher(), await installation.sign_up_student()
    created_class = await installation.create_class(teacher)
    await installation.join_class(student, created_class)
    request = SetMembershipRoleRequest(
        class_id=created_class.class_id,
        user_id=student.tokens.user.user_id,
        role=ClassRole.CLASS_ROLE_TEACHER,
    )
    return (teacher.classes.SetMembershipRole, request, teacher), None
