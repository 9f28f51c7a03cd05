"""Joining, leaving, approval, roles and removal."""

import asyncio
import uuid
from collections.abc import Iterable

import grpc
import pytest

from chassis.testing import eventually_error, expect_error, parse_error
from identity_service.classes import rules as class_rules
from identity_service.classes.memberships import rules
from identity_service.tests.classroom import STUDENT, TEACHER, Classroom
from identity_service.tests.conftest import Identity
from meno.access.v1.resources_pb2 import AuditAction
from meno.identity.v1.class_service_pb2 import GetClassRequest
from meno.identity.v1.resources_pb2 import MembershipStatus
from meno.identity.v1.user_service_pb2 import EraseUserRequest

PENDING = MembershipStatus.MEMBERSHIP_STATUS_PENDING
ACTIVE = MembershipStatus.MEMBERSHIP_STATUS_ACTIVE


@pytest.mark.parametrize(
    ("before", "policy", "after"),
    [
        (None, "OPEN", "ACTIVE"),
        ("LEFT", "OPEN", "ACTIVE"),
        ("REJECTED", "OPEN", "ACTIVE"),
        ("PENDING", "OPEN", "PENDING"),
        ("REMOVED", "OPEN", None),
        (None, "APPROVAL", "PENDING"),
        ("LEFT", "APPROVAL", "PENDING"),
        ("REJECTED", "APPROVAL", "PENDING"),
        ("ACTIVE", "APPROVAL", "ACTIVE"),
        ("REMOVED", "APPROVAL", None),
    ],
)
def test_status_after_join(before: str | None, policy: str, after: str | None) -> None:
    assert rules.status_after_join(before, policy) == after


@pytest.mark.parametrize("before", [None, "LEFT", "REMOVED", "REJECTED", "PENDING", "ACTIVE"])
def test_teachers_add_earlier_members_and_administrators_add_any_user(before: str | None) -> None:
    assert rules.may_add(before, "TEACHER") == (before is not None)
    assert rules.may_add(before, "ADMIN")


async def test_a_pending_member_has_no_access_until_a_teacher_approves(identity: Identity) -> None:
    room, student = await Classroom.create(identity), await identity.sign_up()
    await room.require_approval()
    asked = await room.join(student)
    assert (asked.status, asked) == (PENDING, await room.join(student))
    await identity.refresh(student)
    get_class = GetClassRequest(class_id=room.class_info.class_id)
    assert (
        await expect_error(identity.classes.GetClass(get_class, **student.auth))
    ).reason == "ACCESS_DENIED"
    assert [one.user_id for one in await room.list_members(room.teacher)] == [room.teacher.user_id]
    assert [one.user_id for one in await room.list_members(room.teacher, PENDING)] == [student.user_id]

    approved = await room.approve(room.teacher, student.user_id)
    assert (approved.status, approved.role, approved.rostered) == (ACTIVE, STUDENT, False)
    await identity.refresh(student)
    assert (await identity.classes.GetClass(get_class, **student.auth)).my_role == STUDENT
    error = await expect_error(room.approve(room.teacher, student.user_id))
    assert (error.code, error.reason) == ("FAILED_PRECONDITION", "MEMBERSHIP_NOT_PENDING")
    error = await expect_error(room.reject(room.teacher, student.user_id))
    assert error.metadata == {"class_id": room.class_info.class_id, "user_id": student.user_id}


async def test_a_rejected_user_can_join_again_and_a_pending_member_can_leave(identity: Identity) -> None:
    room, student = await Classroom.create(identity), await identity.sign_up()
    await room.require_approval()
    await room.join(student)
    await room.reject(room.teacher, student.user_id)
    for attempt in (room.approve, room.reject, room.remove):
        error = await expect_error(attempt(room.teacher, student.user_id))
        assert error.reason == "MEMBERSHIP_NOT_FOUND"
    assert (await room.join(student)).status == PENDING
    await room.leave(student)
    # Tokens do not contain pending memberships, so leaving has not revoked the token.
    assert (await expect_error(room.leave(student))).reason == "MEMBERSHIP_NOT_FOUND"
    assert room.stored_membership(student.user_id) == ("LEFT", False)


async def test_of_concurrent_approvals_one_succeeds(identity: Identity) -> None:
    room, student = await Classroom.create(identity), await identity.sign_up()
    await room.require_approval()
    await room.join(student)
    outcomes = await asyncio.gather(
        *(room.approve(room.teacher, student.user_id) for _ in range(5)), return_exceptions=True
    )
    assert reasons(outcomes) == ["MEMBERSHIP_NOT_PENDING"] * 4
    assert room.stored_membership(student.user_id) == ("ACTIVE", True)


async def test_concurrent_changes_keep_both_membership_tables_consistent(
    identity: Identity,
) -> None:
    room, student = await Classroom.create(identity), await identity.sign_up()
    await room.require_approval()
    for _ in range(5):
        await asyncio.gather(
            room.join(student),
            room.approve(room.teacher, student.user_id),
            room.leave(student),
            room.join(student),
            return_exceptions=True,
        )
        status, listed_by_user = room.stored_membership(student.user_id)
        assert listed_by_user == (status == "ACTIVE")
        await identity.refresh(student)


async def test_teachers_can_add_earlier_members_and_get_one_error_for_all_other_ids(
    identity: Identity,
) -> None:
    room, admin = await Classroom.create(identity), await identity.sign_up_admin()
    removed, stranger = await identity.sign_up(), await identity.sign_up()
    deleted = await identity.sign_up()
    for person in (removed, deleted):
        await identity.join(person, room.class_info)
    await room.remove(room.teacher, removed.user_id)
    assert (await expect_error(room.join(removed))).reason in ("JOIN_CODE_NOT_FOUND", "TOKEN_REVOKED")
    identity.execute_sql("UPDATE users SET deleted_at = now() WHERE user_id = %s", deleted.user_id)

    assert (await room.add(room.teacher, removed.user_id, TEACHER)).role == TEACHER
    # Adding a member again changes nothing.
    assert (await room.add(room.teacher, removed.user_id, STUDENT)).role == TEACHER
    missing_id = str(uuid.uuid4())
    for user_id in (stranger.user_id, deleted.user_id, missing_id):
        error = await expect_error(room.add(room.teacher, user_id))
        assert (error.code, error.reason) == ("NOT_FOUND", "USER_NOT_FOUND")
        assert error.metadata == {"user_id": user_id}
    assert [one.user_id for one in await room.list_members(room.teacher)] == [
        room.teacher.user_id,
        removed.user_id,
    ]
    identity.execute_sql("UPDATE users SET guest = true WHERE user_id = %s", stranger.user_id)
    for user_id in (stranger.user_id, deleted.user_id, missing_id):
        assert (await expect_error(room.add(admin, user_id))).reason == "USER_NOT_FOUND"
    identity.execute_sql("UPDATE users SET guest = false WHERE user_id = %s", stranger.user_id)
    assert (await room.add(admin, stranger.user_id)).status == ACTIVE


async def test_only_an_active_teacher_counts_as_a_teacher(identity: Identity) -> None:
    room, other = await Classroom.create(identity), await identity.sign_up_teacher()
    await identity.join(other, room.class_info)
    await room.set_role(room.teacher, other.user_id, TEACHER)
    for column in ("deleted_at", "deactivated_at"):
        identity.execute_sql(f"UPDATE users SET {column} = now() WHERE user_id = %s", other.user_id)
        assert (await expect_error(room.leave(room.teacher))).reason == "LAST_TEACHER"
        identity.execute_sql(f"UPDATE users SET {column} = NULL WHERE user_id = %s", other.user_id)
    await room.leave(room.teacher)


async def test_a_teacher_cannot_demote_or_remove_an_administrator(identity: Identity) -> None:
    room, admin = await Classroom.create(identity), await identity.sign_up_admin()
    await identity.join(admin, room.class_info)
    await room.set_role(room.teacher, admin.user_id, TEACHER)
    for call in (
        room.set_role(room.teacher, admin.user_id, STUDENT),
        room.remove(room.teacher, admin.user_id),
    ):
        error = await expect_error(call)
        assert (error.code, error.reason) == ("PERMISSION_DENIED", "ADMIN_MEMBER_PROTECTED")
        assert error.metadata == {"class_id": room.class_info.class_id, "user_id": admin.user_id}
    assert room.stored_membership(admin.user_id) == ("ACTIVE", True)
    other = await identity.sign_up_admin()
    assert (await room.set_role(other, admin.user_id, STUDENT)).role == STUDENT
    await room.remove(other, admin.user_id)
    assert room.stored_membership(admin.user_id) == ("REMOVED", False)


async def test_of_a_leave_and_an_erasure_of_the_last_two_teachers_one_is_refused(identity: Identity) -> None:
    room, other = await Classroom.create(identity), await identity.sign_up_teacher()
    admin = await identity.sign_up_admin()
    await identity.join(other, room.class_info)
    await room.set_role(room.teacher, other.user_id, TEACHER)
    erasure = identity.users.EraseUser(
        EraseUserRequest(user_id=other.user_id, confirmation="ERASE"), **admin.auth
    )
    outcomes = await asyncio.gather(room.leave(room.teacher), erasure, return_exceptions=True)
    assert reasons(outcomes) == ["LAST_TEACHER"]


async def test_archived_classes_do_not_count_towards_the_class_limit(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(class_rules, "MAX_CLASSES", 1)
    room = await Classroom.create(identity)
    error = await expect_error(identity.create_class(room.teacher))
    assert (error.reason, error.metadata) == ("TOO_MANY_CLASSES", {"limit": "1"})
    await room.archive(room.teacher)
    await identity.refresh(room.teacher)
    await identity.create_class(room.teacher)
    assert (await room.unarchive(room.teacher)).my_role == TEACHER


async def test_concurrent_additions_do_not_exceed_the_class_limit(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(class_rules, "MAX_CLASSES", 2)
    student, admin = await identity.sign_up(), await identity.sign_up_admin()
    rooms = [await Classroom.create(identity) for _ in range(4)]
    for room in rooms[:2]:
        await room.require_approval()
        await room.join(student)
    calls = [
        *(room.approve(room.teacher, student.user_id) for room in rooms[:2]),
        rooms[2].add(admin, student.user_id),
        rooms[3].join(student),
    ]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert reasons(outcomes) == ["TOO_MANY_CLASSES"] * 2


async def test_leaving_an_existing_and_a_missing_class_gives_a_non_member_the_same_error(
    identity: Identity,
) -> None:
    room, outsider = await Classroom.create(identity), await identity.sign_up()
    existing = await expect_error(room.leave(outsider))
    room.class_info.class_id = str(uuid.uuid4())
    assert existing.reason == (await expect_error(room.leave(outsider))).reason == "MEMBERSHIP_NOT_FOUND"


async def test_only_a_demotion_revokes_tokens(identity: Identity) -> None:
    room, student = await Classroom.create(identity), await identity.sign_up()
    await identity.join(student, room.class_info)
    get_class = GetClassRequest(class_id=room.class_info.class_id)
    await room.set_role(room.teacher, student.user_id, TEACHER)
    await room.set_role(room.teacher, student.user_id, TEACHER)
    await identity.classes.GetClass(get_class, **student.auth)
    await room.set_role(room.teacher, student.user_id, STUDENT)
    error = await eventually_error(lambda: identity.classes.GetClass(get_class, **student.auth))
    assert error.reason == "TOKEN_REVOKED"


async def test_every_change_of_a_membership_is_audited(identity: Identity) -> None:
    room, student = await Classroom.create(identity), await identity.sign_up()
    admin = await identity.sign_up_admin()
    user_id = student.user_id
    await room.join(student)
    await room.set_role(room.teacher, user_id, TEACHER)
    await room.set_role(room.teacher, user_id, TEACHER)
    await room.remove(room.teacher, user_id)
    await room.add(room.teacher, user_id)
    await identity.refresh(student)
    await room.leave(student)
    await room.require_approval()
    await identity.refresh(student)
    for answer in (room.reject, room.approve):
        await room.join(student)
        await answer(room.teacher, user_id)
    *found, created = await identity.list_audited(admin, user_id=user_id)
    assert created.action == AuditAction.AUDIT_ACTION_USER_CREATED
    entries = [(AuditAction.Name(one.action)[24:], dict(one.details)) for one in found[::-1]]
    assert entries == [
        ("ADDED", {"role": "STUDENT", "how": "JOINED"}),
        ("ROLE_SET", {"before": "STUDENT", "after": "TEACHER"}),
        ("ENDED", {"how": "REMOVED"}),
        ("ADDED", {"role": "STUDENT", "how": "ADDED"}),
        ("ENDED", {"how": "LEFT"}),
        ("ENDED", {"how": "REJECTED"}),
        ("ADDED", {"role": "STUDENT", "how": "APPROVED"}),
    ]
    assert {one.class_id for one in found} == {room.class_info.class_id}
    assert found[0].actor_user_id == room.teacher.user_id


def reasons(outcomes: Iterable[object]) -> list[str]:
    """Returns the error reasons of the calls that failed."""
    return [parse_error(outcome).reason for outcome in outcomes if isinstance(outcome, grpc.aio.AioRpcError)]
