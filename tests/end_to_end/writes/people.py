"""Writes to users and their settings."""

from typing import Any

from meno.access.v1.access_pb2 import GlobalRole
from meno.identity.v1.resources_pb2 import User, UserSettings
from meno.identity.v1.user_service_pb2 import (
    CompleteOnboardingRequest,
    CreateUserRequest,
    DeactivateUserRequest,
    DeleteUserRequest,
    EraseUserRequest,
    ListUsersRequest,
    ReactivateUserRequest,
    SetGlobalRoleRequest,
    UndeleteUserRequest,
    UpdateSettingsRequest,
    UpdateUserRequest,
)
from tests.end_to_end.writes.case import Cases
from tests.installation import Installation, new_id

CASES = Cases()


@CASES.of("UpdateUser")
async def _update_user(installation: Installation) -> Any:
    student = await installation.sign_up_student()
    users = student.users
    etag = student.tokens.user.etag
    # The etag makes a second effect fail.
    return (
        users.UpdateUser,
        UpdateUserRequest(user_id="me", user=User(full_name="New"), etag=etag),
        student,
    ), None


@CASES.of("CompleteOnboarding")
async def _complete_onboarding(installation: Installation) -> Any:
    student = await installation.sign_up_student()
    request = CompleteOnboardingRequest(user_id="me", age=9, grade=4, board="CBSE", time_zone="Asia/Kolkata")
    return (student.users.CompleteOnboarding, request, student), None


@CASES.of("UpdateSettings")
async def _update_settings(installation: Installation) -> Any:
    student = await installation.sign_up_student()
    # The etag of the default settings makes a second effect fail.
    request = UpdateSettingsRequest(user_id="me", settings=UserSettings(time_zone="Asia/Kolkata"), etag="0")
    return (student.users.UpdateSettings, request, student), None


@CASES.of("CreateUser")
async def _create_user(installation: Installation) -> Any:
    admin, email = await installation.create_admin(), f"{new_id()}@example.org"

    async def count() -> int:
        return len((await admin.users.ListUsers(ListUsersRequest(identifier=email), **admin.auth)).users)

    student = GlobalRole.GLOBAL_ROLE_STUDENT
    request = CreateUserRequest(email=email, display_name="New", role=student)
    return (admin.users.CreateUser, request, admin), count


@CASES.of("DeleteUser")
async def _delete_user(installation: Installation) -> Any:
    admin, student = await installation.create_admin(), await installation.sign_up_student()
    request = DeleteUserRequest(user_id=student.tokens.user.user_id, etag=student.tokens.user.etag)
    return (admin.users.DeleteUser, request, admin), None


@CASES.of("UndeleteUser")
async def _undelete_user(installation: Installation) -> Any:
    admin, student = await installation.create_admin(), await installation.sign_up_student()
    await student.users.DeleteUser(DeleteUserRequest(user_id="me"), **student.auth)
    request = UndeleteUserRequest(user_id=student.tokens.user.user_id)
    return (admin.users.UndeleteUser, request, admin), None


@CASES.of("SetGlobalRole")
async def _set_global_role(installation: Installation) -> Any:
    admin, student = await installation.create_admin(), await installation.sign_up_student()
    teacher = GlobalRole.GLOBAL_ROLE_TEACHER
    request = SetGlobalRoleRequest(user_id=student.tokens.user.user_id, role=teacher)
    return (admin.users.SetGlobalRole, request, admin), None


@CASES.of("DeactivateUser")
async def _deactivate_user(installation: Installation) -> Any:
    admin, student = await installation.create_admin(), await installation.sign_up_student()
    request = DeactivateUserRequest(user_id=student.tokens.user.user_id)
    return (admin.users.DeactivateUser, request, admin), None


@CASES.of("ReactivateUser")
async def _reactivate_user(installation: Installation) -> Any:
    admin, student = await installation.create_admin(), await installation.sign_up_student()
    deactivate = DeactivateUserRequest(user_id=student.tokens.user.user_id)
    await admin.users.DeactivateUser(deactivate, **admin.auth)
    request = ReactivateUserRequest(user_id=student.tokens.user.user_id)
    return (admin.users.ReactivateUser, request, admin), None


@CASES.of("EraseUser")
async def _erase_user(installation: Installation) -> Any:
    admin, student = await installation.create_admin(), await installation.sign_up_student()
    request = EraseUserRequest(user_id=student.tokens.user.user_id, confirmation="ERASE")
    return (admin.users.EraseUser, request, admin), None
