"""What becomes of accounts, over gRPC: roles, shutting out and letting in, deleting and restoring."""

import asyncio
from typing import Any

import grpc
import pytest

from chassis.testing import refusal, refused, soon_refused
from identity_service.tests.conftest import PASSWORD, Identity, Person
from meno.access.v1.access_pb2 import ClassRole, GlobalRole
from meno.access.v1.audit_service_pb2 import AuditAction
from meno.identity.v1.admin_service_pb2 import SetConfigEntryRequest
from meno.identity.v1.auth_service_pb2 import SignInRequest, SignUpRequest
from meno.identity.v1.class_service_pb2 import (
    ListClassesRequest,
    ListMembershipsRequest,
    SetMembershipRoleRequest,
)
from meno.identity.v1.user_service_pb2 import (
    USER_STATE_ACTIVE,
    USER_STATE_DEACTIVATED,
    USER_STATE_DELETED,
    DeactivateUserRequest,
    DeleteUserRequest,
    EraseUserRequest,
    GetUserRequest,
    ReactivateUserRequest,
    SetGlobalRoleRequest,
    UndeleteUserRequest,
    UpdateUserRequest,
    User,
)

STUDENT, TEACHER = GlobalRole.GLOBAL_ROLE_STUDENT, GlobalRole.GLOBAL_ROLE_TEACHER
ADMIN = GlobalRole.GLOBAL_ROLE_ADMIN
ME = GetUserRequest(user_id="me")


async def test_another_role_ends_the_tokens_of_the_one_before(town: Identity) -> None:
    admin, person = await town.sign_up_admin(), await town.sign_up()
    for role in (TEACHER, STUDENT):
        request = SetGlobalRoleRequest(user_id=person.user_id, role=role)
        assert (await town.users.SetGlobalRole(request, **admin.auth)).role == role
        denied = await soon_refused(lambda: town.users.GetUser(ME, **person.auth))
        assert (denied.code, denied.reason) == ("UNAUTHENTICATED", "RIGHTS_CHANGED")
        await town.refresh(person)
        assert (await town.users.GetUser(ME, **person.auth)).role == role
    entries = await audited(town, admin, person, AuditAction.AUDIT_ACTION_USER_ROLE_SET)
    assert entries == [{"before": "TEACHER", "after": "STUDENT"}, {"before": "STUDENT", "after": "TEACHER"}]


async def test_the_role_that_somebody_has_changes_nothing(town: Identity) -> None:
    admin, person = await town.sign_up_admin(), await town.sign_up()
    await town.users.SetGlobalRole(SetGlobalRoleRequest(user_id=person.user_id, role=STUDENT), **admin.auth)
    assert await audited(town, admin, person, AuditAction.AUDIT_ACTION_USER_ROLE_SET) == []
    assert await town.users.GetUser(ME, **person.auth) == person.tokens.user


async def test_who_is_shut_out_is_refused_everywhere_until_they_are_let_in_again(town: Identity) -> None:
    admin, person = await town.sign_up_admin(), await town.sign_up()
    shut_out = DeactivateUserRequest(user_id=person.user_id)
    let_in = ReactivateUserRequest(user_id=person.user_id)
    for _ in range(2):
        user = await town.users.DeactivateUser(shut_out, **admin.auth)
        assert user.state == USER_STATE_DEACTIVATED
    denied = await soon_refused(lambda: town.users.GetUser(ME, **person.auth))
    assert denied.reason == "RIGHTS_CHANGED"
    assert (await refused(town.refresh(person))).reason == "REFRESH_TOKEN_INVALID"
    sign_in = SignInRequest(identifier=person.tokens.user.login_name, password=PASSWORD)
    denied = await refused(town.auth.SignIn(sign_in))
    assert (denied.code, denied.reason) == ("PERMISSION_DENIED", "ACCOUNT_DEACTIVATED")
    for _ in range(2):
        user = await town.users.ReactivateUser(let_in, **admin.auth)
        assert user.state == USER_STATE_ACTIVE
    assert (await refused(town.refresh(person))).reason == "REFRESH_TOKEN_INVALID"
    assert (await town.auth.SignIn(sign_in)).user.state == USER_STATE_ACTIVE
    for action in (AuditAction.AUDIT_ACTION_USER_DEACTIVATED, AuditAction.AUDIT_ACTION_USER_REACTIVATED):
        assert await audited(town, admin, person, action) == [{}]


async def test_a_deleted_person_is_gone_for_everybody_but_administrators(town: Identity) -> None:
    admin, teacher, person = await town.sign_up_admin(), await town.sign_up_teacher(), await town.sign_up()
    made = await town.new_class(teacher)
    await town.join(person, made)
    gone = await town.users.DeleteUser(DeleteUserRequest(user_id="me"), **person.auth)
    assert gone.state == USER_STATE_DELETED
    assert (gone.purge_time.ToDatetime() - gone.delete_time.ToDatetime()).days == 30
    mine = ListClassesRequest(user_id="me")
    denied = await soon_refused(lambda: town.classes.ListClasses(mine, **person.auth))
    assert denied.reason == "RIGHTS_CHANGED"
    assert (await refused(town.refresh(person))).reason == "REFRESH_TOKEN_INVALID"
    name = person.tokens.user.login_name
    denied = await refused(town.auth.SignIn(SignInRequest(identifier=name, password=PASSWORD)))
    assert denied.reason == "CREDENTIALS_INVALID"
    # The name stays theirs for as long as they may come back.
    taken = SignUpRequest(login_name=name.upper(), display_name="Other", password=PASSWORD)
    assert (await refused(town.auth.SignUp(taken))).reason == "IDENTIFIER_TAKEN"
    members = ListMembershipsRequest(class_id=made.class_id)
    shown = await town.classes.ListMemberships(members, **teacher.auth)
    assert [one.user_id for one in shown.memberships] == [teacher.user_id]
    assert await town.users.GetUser(GetUserRequest(user_id=person.user_id), **admin.auth) == gone
    assert (
        await town.users.DeleteUser(DeleteUserRequest(user_id=person.user_id, etag="0"), **admin.auth) == gone
    )
    assert await audited(town, admin, person, AuditAction.AUDIT_ACTION_USER_DELETED) == [{}]


async def test_who_is_restored_has_what_they_had(town: Identity) -> None:
    admin, teacher, person = await town.sign_up_admin(), await town.sign_up_teacher(), await town.sign_up()
    made = await town.new_class(teacher)
    await town.join(person, made)
    await town.users.DeleteUser(DeleteUserRequest(user_id=person.user_id), **admin.auth)
    for _ in range(2):
        user = await town.users.UndeleteUser(UndeleteUserRequest(user_id=person.user_id), **admin.auth)
        assert user == person.tokens.user
    back = await town.auth.SignIn(SignInRequest(identifier=user.login_name, password=PASSWORD))
    assert (back.user.user_id, back.user.etag) == (user.user_id, user.etag)
    shown = await town.classes.ListMemberships(ListMembershipsRequest(class_id=made.class_id), **teacher.auth)
    assert person.user_id in [one.user_id for one in shown.memberships]
    assert await audited(town, admin, person, AuditAction.AUDIT_ACTION_USER_UNDELETED) == [{}]


async def test_a_deleted_account_tells_when_it_is_erased_as_configured(identity: Identity) -> None:
    admin, person = await identity.sign_up_admin(), await identity.sign_up()
    entry = SetConfigEntryRequest(key="user_purge_days")
    entry.value.number_value = 7
    await identity.admin.SetConfigEntry(entry, **admin.auth)
    gone = await identity.users.DeleteUser(DeleteUserRequest(user_id=person.user_id), **admin.auth)
    assert (gone.purge_time.ToDatetime() - gone.delete_time.ToDatetime()).days == 7


async def test_an_account_that_changed_since_it_was_read_is_not_deleted(town: Identity) -> None:
    person = await town.sign_up()
    etag = person.tokens.user.etag
    changed = await town.users.UpdateUser(UpdateUserRequest(user_id="me", user=User(age=9)), **person.auth)
    denied = await refused(town.users.DeleteUser(DeleteUserRequest(user_id="me", etag=etag), **person.auth))
    assert (denied.reason, denied.metadata) == ("ETAG_MISMATCH", {"etag": changed.etag})
    await town.users.DeleteUser(DeleteUserRequest(user_id="me", etag=changed.etag), **person.auth)


async def test_an_installation_keeps_an_administrator_who_is_let_in(identity: Identity) -> None:
    last, shut_out = await identity.sign_up_admin(), await identity.sign_up_admin()
    out = DeactivateUserRequest(user_id=shut_out.user_id)
    await identity.users.DeactivateUser(out, **last.auth)
    users, user_id = identity.users, last.user_id
    for call in (
        users.SetGlobalRole(SetGlobalRoleRequest(user_id=user_id, role=TEACHER), **last.auth),
        users.DeactivateUser(DeactivateUserRequest(user_id=user_id), **last.auth),
        users.DeleteUser(DeleteUserRequest(user_id="me"), **last.auth),
        users.EraseUser(EraseUserRequest(user_id="me", confirmation="ERASE"), **last.auth),
    ):
        denied = await refused(call)
        assert (denied.code, denied.reason) == ("FAILED_PRECONDITION", "LAST_ADMIN")
        assert denied.metadata == {"user_id": user_id}
    await users.SetGlobalRole(SetGlobalRoleRequest(user_id=shut_out.user_id, role=STUDENT), **last.auth)


@pytest.mark.parametrize("how", ["role", "shut out", "delete", "erase"])
async def test_two_administrators_who_end_each_other_do_not_both_go(identity: Identity, how: str) -> None:
    admins = [await identity.sign_up_admin() for _ in range(2)]
    outcomes = await at_once(
        [ending(identity, how, of, by) for of, by in zip(admins, reversed(admins), strict=True)]
    )
    assert sorted(outcomes) in (["", "LAST_ADMIN"], ["", "RIGHTS_CHANGED"])


def ending(identity: Identity, how: str, of: Person, by: Person) -> Any:
    users, user_id = identity.users, of.user_id
    match how:
        case "role":
            return users.SetGlobalRole(SetGlobalRoleRequest(user_id=user_id, role=STUDENT), **by.auth)
        case "shut out":
            return users.DeactivateUser(DeactivateUserRequest(user_id=user_id), **by.auth)
        case "delete":
            return users.DeleteUser(DeleteUserRequest(user_id=user_id), **by.auth)
    return users.EraseUser(EraseUserRequest(user_id=user_id, confirmation="ERASE"), **by.auth)


async def test_two_teachers_who_delete_their_accounts_at_once_do_not_both_leave_the_class(
    town: Identity,
) -> None:
    first, second = await town.sign_up_teacher(), await town.sign_up_teacher()
    made = await town.new_class(first)
    await town.join(second, made)
    promotion = SetMembershipRoleRequest(
        class_id=made.class_id, user_id=second.user_id, role=ClassRole.CLASS_ROLE_TEACHER
    )
    await town.classes.SetMembershipRole(promotion, **first.auth)
    delete = DeleteUserRequest(user_id="me")
    outcomes = await at_once([town.users.DeleteUser(delete, **one.auth) for one in (first, second)])
    assert sorted(outcomes) == ["", "LAST_TEACHER"]


async def test_twenty_who_delete_somebody_at_once_do_it_once(town: Identity) -> None:
    admin, person = await town.sign_up_admin(), await town.sign_up()
    delete = DeleteUserRequest(user_id=person.user_id)
    answers = await asyncio.gather(*(town.users.DeleteUser(delete, **admin.auth) for _ in range(20)))
    assert len({answer.SerializeToString(deterministic=True) for answer in answers}) == 1
    assert len(await audited(town, admin, person, AuditAction.AUDIT_ACTION_USER_DELETED)) == 1


async def test_only_administrators_decide_about_others(town: Identity) -> None:
    teacher, person = await town.sign_up_teacher(), await town.sign_up()
    users, user_id = town.users, person.user_id
    for one in (teacher, person):
        for call in (
            users.SetGlobalRole(SetGlobalRoleRequest(user_id=user_id, role=ADMIN), **one.auth),
            users.DeactivateUser(DeactivateUserRequest(user_id=user_id), **one.auth),
            users.ReactivateUser(ReactivateUserRequest(user_id=user_id), **one.auth),
            users.UndeleteUser(UndeleteUserRequest(user_id=user_id), **one.auth),
        ):
            assert (await refused(call)).reason == "ACCESS_DENIED"
    denied = await refused(users.DeleteUser(DeleteUserRequest(user_id=user_id), **teacher.auth))
    assert denied.reason == "ACCESS_DENIED"


@pytest.mark.parametrize("how", ["role", "shut out", "delete"])
async def test_of_nobody_it_is_said_that_they_are_not_there(town: Identity, how: str) -> None:
    admin, person = await town.sign_up_admin(), await town.sign_up()
    erase = EraseUserRequest(user_id=person.user_id, confirmation="ERASE")
    await town.users.EraseUser(erase, **admin.auth)
    denied = await refused(ending(town, how, person, admin))
    assert (denied.code, denied.reason) == ("NOT_FOUND", "USER_NOT_FOUND")
    restore = town.users.UndeleteUser(UndeleteUserRequest(user_id=person.user_id), **admin.auth)
    assert (await refused(restore)).reason == "USER_NOT_FOUND"


async def at_once(calls: list[Any]) -> list[str]:
    """How each of several calls ends: why it is refused, or empty."""
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    return [refusal(one).reason if isinstance(one, grpc.aio.AioRpcError) else "" for one in outcomes]


async def audited(
    town: Identity, admin: Person, person: Person, action: AuditAction.ValueType
) -> list[dict[str, str]]:
    """The details of what was done to somebody, newest first."""
    entries = await town.audited(admin, user_id=person.user_id)
    return [dict(entry.details) for entry in entries if entry.action == action]
