"""Global roles, deactivation, deletion and restoring of accounts, over gRPC."""

import asyncio
from typing import Any

import grpc
import pytest

from chassis.testing import eventually_error, expect_error, parse_error
from identity_service.tests.conftest import PASSWORD, Identity, Person
from meno.access.v1.access_pb2 import ClassRole, GlobalRole
from meno.access.v1.resources_pb2 import AuditAction
from meno.identity.v1.auth_service_pb2 import SignInRequest, SignUpRequest
from meno.identity.v1.class_service_pb2 import (
    ArchiveClassRequest,
    ListClassesRequest,
    ListMembershipsRequest,
    SetMembershipRoleRequest,
)
from meno.identity.v1.resources_pb2 import USER_STATE_ACTIVE, USER_STATE_DEACTIVATED, USER_STATE_DELETED, User
from meno.identity.v1.user_service_pb2 import (
    DeactivateUserRequest,
    DeleteUserRequest,
    EraseUserRequest,
    GetUserRequest,
    ReactivateUserRequest,
    SetGlobalRoleRequest,
    UndeleteUserRequest,
    UpdateUserRequest,
)

STUDENT, TEACHER = GlobalRole.GLOBAL_ROLE_STUDENT, GlobalRole.GLOBAL_ROLE_TEACHER
ADMIN = GlobalRole.GLOBAL_ROLE_ADMIN
ME = GetUserRequest(user_id="me")


async def test_a_change_of_the_global_role_revokes_tokens(shared: Identity) -> None:
    admin, person = await shared.sign_up_admin(), await shared.sign_up()
    for role in (TEACHER, STUDENT):
        request = SetGlobalRoleRequest(user_id=person.user_id, role=role)
        assert (await shared.users.SetGlobalRole(request, **admin.auth)).role == role
        error = await eventually_error(lambda: shared.users.GetUser(ME, **person.auth))
        assert (error.code, error.reason) == ("UNAUTHENTICATED", "TOKEN_REVOKED")
        await shared.refresh(person)
        assert (await shared.users.GetUser(ME, **person.auth)).role == role
    entries = await audited(shared, admin, person, AuditAction.AUDIT_ACTION_USER_ROLE_SET)
    assert entries == [{"before": "TEACHER", "after": "STUDENT"}, {"before": "STUDENT", "after": "TEACHER"}]


async def test_setting_the_current_role_changes_nothing(shared: Identity) -> None:
    admin, person = await shared.sign_up_admin(), await shared.sign_up()
    await shared.users.SetGlobalRole(SetGlobalRoleRequest(user_id=person.user_id, role=STUDENT), **admin.auth)
    assert await audited(shared, admin, person, AuditAction.AUDIT_ACTION_USER_ROLE_SET) == []
    assert await shared.users.GetUser(ME, **person.auth) == person.tokens.user


async def test_a_deactivated_user_cannot_sign_in_until_reactivated(shared: Identity) -> None:
    admin, person = await shared.sign_up_admin(), await shared.sign_up()
    deactivate = DeactivateUserRequest(user_id=person.user_id)
    reactivate = ReactivateUserRequest(user_id=person.user_id)
    for _ in range(2):
        user = await shared.users.DeactivateUser(deactivate, **admin.auth)
        assert user.state == USER_STATE_DEACTIVATED
    error = await eventually_error(lambda: shared.users.GetUser(ME, **person.auth))
    assert error.reason == "TOKEN_REVOKED"
    assert (await expect_error(shared.refresh(person))).reason == "REFRESH_TOKEN_INVALID"
    sign_in = SignInRequest(identifier=person.tokens.user.login_name, password=PASSWORD)
    error = await expect_error(shared.auth.SignIn(sign_in))
    assert (error.code, error.reason) == ("PERMISSION_DENIED", "ACCOUNT_DEACTIVATED")
    for _ in range(2):
        user = await shared.users.ReactivateUser(reactivate, **admin.auth)
        assert user.state == USER_STATE_ACTIVE
    assert (await expect_error(shared.refresh(person))).reason == "REFRESH_TOKEN_INVALID"
    assert (await shared.auth.SignIn(sign_in)).user.state == USER_STATE_ACTIVE
    for action in (AuditAction.AUDIT_ACTION_USER_DEACTIVATED, AuditAction.AUDIT_ACTION_USER_REACTIVATED):
        assert await audited(shared, admin, person, action) == [{}]


async def test_only_administrators_see_a_deleted_user(shared: Identity) -> None:
    admin, teacher, person = (
        await shared.sign_up_admin(),
        await shared.sign_up_teacher(),
        await shared.sign_up(),
    )
    created = await shared.create_class(teacher)
    await shared.join(person, created)
    deleted = await shared.users.DeleteUser(DeleteUserRequest(user_id="me"), **person.auth)
    assert deleted.state == USER_STATE_DELETED
    assert (deleted.purge_time.ToDatetime() - deleted.delete_time.ToDatetime()).days == 30
    list_classes = ListClassesRequest(user_id="me")
    error = await eventually_error(lambda: shared.classes.ListClasses(list_classes, **person.auth))
    assert error.reason == "TOKEN_REVOKED"
    assert (await expect_error(shared.refresh(person))).reason == "REFRESH_TOKEN_INVALID"
    name = person.tokens.user.login_name
    error = await expect_error(shared.auth.SignIn(SignInRequest(identifier=name, password=PASSWORD)))
    assert error.reason == "CREDENTIALS_INVALID"
    # The login name stays reserved while the account can be restored.
    taken = SignUpRequest(login_name=name.upper(), display_name="Other", password=PASSWORD)
    assert (await expect_error(shared.auth.SignUp(taken))).reason == "IDENTIFIER_TAKEN"
    members = ListMembershipsRequest(class_id=created.class_id)
    response = await shared.classes.ListMemberships(members, **teacher.auth)
    assert [one.user_id for one in response.memberships] == [teacher.user_id]
    assert await shared.users.GetUser(GetUserRequest(user_id=person.user_id), **admin.auth) == deleted
    assert (
        await shared.users.DeleteUser(DeleteUserRequest(user_id=person.user_id, etag="0"), **admin.auth)
        == deleted
    )
    assert await audited(shared, admin, person, AuditAction.AUDIT_ACTION_USER_DELETED) == [{}]


async def test_a_restored_user_has_the_same_profile_and_memberships(shared: Identity) -> None:
    admin, teacher, person = (
        await shared.sign_up_admin(),
        await shared.sign_up_teacher(),
        await shared.sign_up(),
    )
    created = await shared.create_class(teacher)
    await shared.join(person, created)
    await shared.users.DeleteUser(DeleteUserRequest(user_id=person.user_id), **admin.auth)
    for _ in range(2):
        user = await shared.users.UndeleteUser(UndeleteUserRequest(user_id=person.user_id), **admin.auth)
        assert user == person.tokens.user
    signed_in = await shared.auth.SignIn(SignInRequest(identifier=user.login_name, password=PASSWORD))
    assert (signed_in.user.user_id, signed_in.user.etag) == (user.user_id, user.etag)
    response = await shared.classes.ListMemberships(
        ListMembershipsRequest(class_id=created.class_id), **teacher.auth
    )
    assert person.user_id in [one.user_id for one in response.memberships]
    assert await audited(shared, admin, person, AuditAction.AUDIT_ACTION_USER_UNDELETED) == [{}]


async def test_purge_time_follows_the_configured_days(identity: Identity) -> None:
    admin, person = await identity.sign_up_admin(), await identity.sign_up()
    await identity.set_config(admin, "user_purge_days", 7)
    deleted = await identity.users.DeleteUser(DeleteUserRequest(user_id=person.user_id), **admin.auth)
    assert (deleted.purge_time.ToDatetime() - deleted.delete_time.ToDatetime()).days == 7


async def test_deletion_with_an_outdated_etag_is_refused(shared: Identity) -> None:
    person = await shared.sign_up()
    etag = person.tokens.user.etag
    changed = await shared.users.UpdateUser(UpdateUserRequest(user_id="me", user=User(age=9)), **person.auth)
    error = await expect_error(
        shared.users.DeleteUser(DeleteUserRequest(user_id="me", etag=etag), **person.auth)
    )
    assert (error.reason, error.metadata) == ("ETAG_MISMATCH", {"current": changed.etag})
    await shared.users.DeleteUser(DeleteUserRequest(user_id="me", etag=changed.etag), **person.auth)


async def test_the_last_active_administrator_cannot_be_demoted_deactivated_deleted_or_erased(
    identity: Identity,
) -> None:
    last, deactivated = await identity.sign_up_admin(), await identity.sign_up_admin()
    deactivate = DeactivateUserRequest(user_id=deactivated.user_id)
    await identity.users.DeactivateUser(deactivate, **last.auth)
    users, user_id = identity.users, last.user_id
    for call in (
        users.SetGlobalRole(SetGlobalRoleRequest(user_id=user_id, role=TEACHER), **last.auth),
        users.DeactivateUser(DeactivateUserRequest(user_id=user_id), **last.auth),
        users.DeleteUser(DeleteUserRequest(user_id="me"), **last.auth),
        users.EraseUser(EraseUserRequest(user_id="me", confirmation="ERASE"), **last.auth),
    ):
        error = await expect_error(call)
        assert (error.code, error.reason) == ("FAILED_PRECONDITION", "LAST_ADMIN")
        assert error.metadata == {"user_id": user_id}
    await users.SetGlobalRole(SetGlobalRoleRequest(user_id=deactivated.user_id, role=STUDENT), **last.auth)


@pytest.mark.parametrize("removal", ["role", "deactivate", "delete", "erase"])
async def test_one_of_two_administrators_removing_each_other_remains(
    identity: Identity, removal: str
) -> None:
    admins = [await identity.sign_up_admin() for _ in range(2)]
    outcomes = await run_concurrently(
        [remove(identity, removal, of, by) for of, by in zip(admins, reversed(admins), strict=True)]
    )
    assert sorted(outcomes) in (["", "LAST_ADMIN"], ["", "TOKEN_REVOKED"])


def remove(identity: Identity, removal: str, of: Person, by: Person) -> Any:
    """Returns the call by which `by` removes the administrator or the account of `of`."""
    users, user_id = identity.users, of.user_id
    match removal:
        case "role":
            return users.SetGlobalRole(SetGlobalRoleRequest(user_id=user_id, role=STUDENT), **by.auth)
        case "deactivate":
            return users.DeactivateUser(DeactivateUserRequest(user_id=user_id), **by.auth)
        case "delete":
            return users.DeleteUser(DeleteUserRequest(user_id=user_id), **by.auth)
    return users.EraseUser(EraseUserRequest(user_id=user_id, confirmation="ERASE"), **by.auth)


async def test_one_of_the_last_two_teachers_deleting_their_accounts_is_refused(
    shared: Identity,
) -> None:
    first, second = await shared.sign_up_teacher(), await shared.sign_up_teacher()
    created = await shared.create_class(first)
    await shared.join(second, created)
    promotion = SetMembershipRoleRequest(
        class_id=created.class_id, user_id=second.user_id, role=ClassRole.CLASS_ROLE_TEACHER
    )
    await shared.classes.SetMembershipRole(promotion, **first.auth)
    delete = DeleteUserRequest(user_id="me")
    outcomes = await run_concurrently(
        [shared.users.DeleteUser(delete, **one.auth) for one in (first, second)]
    )
    assert sorted(outcomes) == ["", "LAST_TEACHER"]


async def test_a_deactivation_that_leaves_classes_without_a_teacher_must_be_forced(shared: Identity) -> None:
    admin, teacher = await shared.sign_up_admin(), await shared.sign_up_teacher()
    taught = [(await shared.create_class(teacher)).class_id for _ in range(2)]
    archived = ArchiveClassRequest(class_id=(await shared.create_class(teacher)).class_id)
    await shared.classes.ArchiveClass(archived, **teacher.auth)
    deactivate = DeactivateUserRequest(user_id=teacher.user_id)
    error = await expect_error(shared.users.DeactivateUser(deactivate, **admin.auth))
    assert (error.code, error.reason) == ("FAILED_PRECONDITION", "LAST_TEACHER")
    assert error.metadata["class_ids"].split(",") == sorted(taught)
    assert error.status.message.endswith(", or set force to deactivate the user anyway.")
    current = await shared.users.GetUser(GetUserRequest(user_id=teacher.user_id), **admin.auth)
    assert current.state == USER_STATE_ACTIVE
    deactivate.force = True
    user = await shared.users.DeactivateUser(deactivate, **admin.auth)
    assert user.state == USER_STATE_DEACTIVATED


async def test_concurrent_deletions_delete_once(shared: Identity) -> None:
    admin, person = await shared.sign_up_admin(), await shared.sign_up()
    delete = DeleteUserRequest(user_id=person.user_id)
    answers = await asyncio.gather(*(shared.users.DeleteUser(delete, **admin.auth) for _ in range(20)))
    assert len({answer.SerializeToString(deterministic=True) for answer in answers}) == 1
    assert len(await audited(shared, admin, person, AuditAction.AUDIT_ACTION_USER_DELETED)) == 1


async def test_only_administrators_change_other_accounts(shared: Identity) -> None:
    teacher, person = await shared.sign_up_teacher(), await shared.sign_up()
    users, user_id = shared.users, person.user_id
    for one in (teacher, person):
        for call in (
            users.SetGlobalRole(SetGlobalRoleRequest(user_id=user_id, role=ADMIN), **one.auth),
            users.DeactivateUser(DeactivateUserRequest(user_id=user_id), **one.auth),
            users.ReactivateUser(ReactivateUserRequest(user_id=user_id), **one.auth),
            users.UndeleteUser(UndeleteUserRequest(user_id=user_id), **one.auth),
        ):
            assert (await expect_error(call)).reason == "ACCESS_DENIED"
    error = await expect_error(users.DeleteUser(DeleteUserRequest(user_id=user_id), **teacher.auth))
    assert error.reason == "ACCESS_DENIED"


@pytest.mark.parametrize("removal", ["role", "deactivate", "delete"])
async def test_an_erased_user_is_not_found(shared: Identity, removal: str) -> None:
    admin, person = await shared.sign_up_admin(), await shared.sign_up()
    erase = EraseUserRequest(user_id=person.user_id, confirmation="ERASE")
    await shared.users.EraseUser(erase, **admin.auth)
    error = await expect_error(remove(shared, removal, person, admin))
    assert (error.code, error.reason) == ("NOT_FOUND", "USER_NOT_FOUND")
    restore = shared.users.UndeleteUser(UndeleteUserRequest(user_id=person.user_id), **admin.auth)
    assert (await expect_error(restore)).reason == "USER_NOT_FOUND"


async def run_concurrently(calls: list[Any]) -> list[str]:
    """Runs calls concurrently. Returns the error reason of each, or an empty string."""
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    return [parse_error(one).reason if isinstance(one, grpc.aio.AioRpcError) else "" for one in outcomes]


async def audited(
    shared: Identity, admin: Person, person: Person, action: AuditAction.ValueType
) -> list[dict[str, str]]:
    """Returns the details of the audit entries about a user, newest first."""
    entries = await shared.list_audited(admin, user_id=person.user_id)
    return [dict(entry.details) for entry in entries if entry.action == action]
