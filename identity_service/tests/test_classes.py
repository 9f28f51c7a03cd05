"""Classes and memberships, over gRPC."""

import asyncio
import uuid

import pytest

from chassis.testing import eventually_error, expect_error, read_pages
from identity_service.classes import rules
from identity_service.tests.conftest import Identity
from meno.access.v1.access_pb2 import ClassRole
from meno.identity.v1.class_service_pb2 import (
    CreateClassRequest,
    GetClassRequest,
    JoinClassRequest,
    LeaveClassRequest,
    ListClassesRequest,
    ListMembershipsRequest,
    RemoveMembershipRequest,
    SetMembershipRoleRequest,
)

STUDENT = ClassRole.CLASS_ROLE_STUDENT
TEACHER = ClassRole.CLASS_ROLE_TEACHER


async def test_a_student_cannot_create_a_class(identity: Identity) -> None:
    student = await identity.sign_up()
    error = await expect_error(identity.classes.CreateClass(CreateClassRequest(title="Mine"), **student.auth))
    assert (error.code, error.reason) == ("PERMISSION_DENIED", "ACCESS_DENIED")


async def test_only_teachers_see_the_join_code(identity: Identity) -> None:
    teacher, student = await identity.sign_up_teacher(), await identity.sign_up()
    created = await identity.create_class(teacher)
    await identity.join(student, created)
    request = GetClassRequest(class_id=created.class_id)
    seen = [await identity.classes.GetClass(request, **person.auth) for person in (teacher, student)]
    assert [(one.join_code, one.my_role) for one in seen] == [(created.join_code, TEACHER), ("", STUDENT)]


async def test_a_join_code_is_accepted_in_any_spelling(identity: Identity) -> None:
    teacher, student = await identity.sign_up_teacher(), await identity.sign_up()
    created = await identity.create_class(teacher)
    typed = f" {created.join_code.lower().replace('-', ' ')} "
    request = JoinClassRequest(user_id="me", join_code=typed)
    joined = await identity.classes.JoinClass(request, **student.auth)
    assert joined.class_id == created.class_id


async def test_an_unknown_join_code_is_refused(identity: Identity) -> None:
    student = await identity.sign_up()
    request = JoinClassRequest(user_id="me", join_code="AAAA-AAAA")
    assert (
        await expect_error(identity.classes.JoinClass(request, **student.auth))
    ).reason == "JOIN_CODE_NOT_FOUND"


async def test_non_members_get_the_same_error_for_an_existing_and_a_missing_class(identity: Identity) -> None:
    created = await identity.create_class(await identity.sign_up_teacher())
    outsider = await identity.sign_up()
    for class_id in (created.class_id, str(uuid.uuid4())):
        error = await expect_error(
            identity.classes.GetClass(GetClassRequest(class_id=class_id), **outsider.auth)
        )
        assert (error.code, error.reason) == ("PERMISSION_DENIED", "ACCESS_DENIED")


async def test_concurrent_joins_create_one_membership(identity: Identity) -> None:
    teacher, student = await identity.sign_up_teacher(), await identity.sign_up()
    created = await identity.create_class(teacher)
    request = JoinClassRequest(user_id="me", join_code=created.join_code)
    joins = [identity.classes.JoinClass(request, **student.auth) for _ in range(20)]
    assert len({str(membership) for membership in await asyncio.gather(*joins)}) == 1
    listed = await identity.classes.ListMemberships(
        ListMembershipsRequest(class_id=created.class_id), **teacher.auth
    )
    assert [member.user_id for member in listed.memberships] == [teacher.user_id, student.user_id]


async def test_a_removed_member_loses_access_and_cannot_rejoin(identity: Identity) -> None:
    teacher, student = await identity.sign_up_teacher(), await identity.sign_up()
    created = await identity.create_class(teacher)
    await identity.join(student, created)
    removal = RemoveMembershipRequest(class_id=created.class_id, user_id=student.user_id)
    await identity.classes.RemoveMembership(removal, **teacher.auth)
    get_class = GetClassRequest(class_id=created.class_id)
    error = await eventually_error(lambda: identity.classes.GetClass(get_class, **student.auth))
    assert (error.code, error.reason) == ("UNAUTHENTICATED", "TOKEN_REVOKED")
    await identity.refresh(student)
    assert (
        await expect_error(identity.classes.GetClass(get_class, **student.auth))
    ).reason == "ACCESS_DENIED"
    join = JoinClassRequest(user_id="me", join_code=created.join_code)
    assert (
        await expect_error(identity.classes.JoinClass(join, **student.auth))
    ).reason == "JOIN_CODE_NOT_FOUND"
    members = ListMembershipsRequest(class_id=created.class_id)
    found = await identity.classes.ListMemberships(members, **teacher.auth)
    assert [member.user_id for member in found.memberships] == [teacher.user_id]


async def test_a_former_member_can_rejoin_after_leaving(identity: Identity) -> None:
    teacher, student = await identity.sign_up_teacher(), await identity.sign_up()
    created = await identity.create_class(teacher)
    await identity.join(student, created)
    leave = LeaveClassRequest(class_id=created.class_id, user_id="me")
    await identity.classes.LeaveClass(leave, **student.auth)
    await identity.refresh(student)
    await identity.join(student, created)
    get_class = GetClassRequest(class_id=created.class_id)
    assert (await identity.classes.GetClass(get_class, **student.auth)).my_role == STUDENT


async def test_the_tokens_of_a_demoted_teacher_are_revoked(identity: Identity) -> None:
    first, second = await identity.sign_up_teacher(), await identity.sign_up_teacher()
    created = await identity.create_class(first)
    await identity.join(second, created)
    for role in (TEACHER, STUDENT):
        request = SetMembershipRoleRequest(class_id=created.class_id, user_id=second.user_id, role=role)
        assert (await identity.classes.SetMembershipRole(request, **first.auth)).role == role
        if role == TEACHER:
            await identity.refresh(second)
    members = ListMembershipsRequest(class_id=created.class_id)
    error = await eventually_error(lambda: identity.classes.ListMemberships(members, **second.auth))
    assert error.reason == "TOKEN_REVOKED"


async def test_the_last_teacher_cannot_leave_be_removed_or_be_demoted(identity: Identity) -> None:
    teacher = await identity.sign_up_teacher()
    created = await identity.create_class(teacher)
    key = {"class_id": created.class_id, "user_id": teacher.user_id}
    for call in (
        identity.classes.LeaveClass(LeaveClassRequest(**key), **teacher.auth),
        identity.classes.RemoveMembership(RemoveMembershipRequest(**key), **teacher.auth),
        identity.classes.SetMembershipRole(SetMembershipRoleRequest(role=STUDENT, **key), **teacher.auth),
    ):
        error = await expect_error(call)
        assert (error.code, error.reason) == ("FAILED_PRECONDITION", "LAST_TEACHER")


async def test_one_of_two_teachers_leaving_concurrently_is_refused(identity: Identity) -> None:
    first, second = await identity.sign_up_teacher(), await identity.sign_up_teacher()
    created = await identity.create_class(first)
    await identity.join(second, created)
    promotion = SetMembershipRoleRequest(class_id=created.class_id, user_id=second.user_id, role=TEACHER)
    await identity.classes.SetMembershipRole(promotion, **first.auth)
    await identity.refresh(second)
    leaving = [
        identity.classes.LeaveClass(LeaveClassRequest(class_id=created.class_id, user_id="me"), **person.auth)
        for person in (first, second)
    ]
    outcomes = await asyncio.gather(*leaving, return_exceptions=True)
    assert sum(isinstance(outcome, Exception) for outcome in outcomes) == 1


async def test_pages_contain_every_class_once(identity: Identity) -> None:
    teacher = await identity.sign_up_teacher()
    created = [(await identity.create_class(teacher)).class_id for _ in range(5)]
    request = ListClassesRequest(user_id="me", page_size=2)
    pages = read_pages(identity.classes.ListClasses, request, **teacher.auth)
    assert [one.class_id async for page in pages for one in page.classes] == created[::-1]


@pytest.mark.parametrize("token", ["nonsense", "WzEsMl0=", ""])
async def test_a_page_token_of_another_list_is_refused(identity: Identity, token: str) -> None:
    teacher = await identity.sign_up_teacher()
    created = await identity.create_class(teacher)
    await identity.create_class(teacher)
    if not token:
        first = ListClassesRequest(user_id=teacher.user_id, page_size=1)
        token = (await identity.classes.ListClasses(first, **teacher.auth)).next_page_token
    request = ListMembershipsRequest(class_id=created.class_id, page_token=token)
    error = await expect_error(identity.classes.ListMemberships(request, **teacher.auth))
    assert (error.code, error.reason) == ("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID")


async def test_concurrent_creations_do_not_exceed_the_class_limit(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "MAX_CLASSES", 3)
    teacher = await identity.sign_up_teacher()
    calls = [identity.classes.CreateClass(CreateClassRequest(title="One"), **teacher.auth) for _ in range(6)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(outcome, Exception) for outcome in outcomes) == 3
