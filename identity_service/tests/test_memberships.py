"""Who comes into a class, and how they go."""

import asyncio
import uuid
from collections.abc import Iterable

import grpc
import pytest

from chassis.testing import refusal, refused, soon_refused
from identity_service.classes import rules as class_rules
from identity_service.classes.memberships import rules
from identity_service.tests.classroom import STUDENT, TEACHER, Classroom, change
from identity_service.tests.conftest import Identity
from meno.access.v1.audit_service_pb2 import AuditAction
from meno.identity.v1.class_service_pb2 import GetClassRequest, MembershipStatus
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
def test_what_a_join_code_makes_of_somebody(before: str | None, policy: str, after: str | None) -> None:
    assert rules.after_joining(before, policy) == after


@pytest.mark.parametrize("before", [None, "LEFT", "REMOVED", "REJECTED", "PENDING", "ACTIVE"])
def test_teachers_add_whom_the_class_knows_and_administrators_anybody(before: str | None) -> None:
    assert rules.may_add(before, "TEACHER") == (before is not None)
    assert rules.may_add(before, "ADMIN")


async def test_who_waits_has_no_right_until_a_teacher_lets_them_in(identity: Identity) -> None:
    room, student = await Classroom.open(identity), await identity.sign_up()
    await room.take_by_approval()
    asked = await room.join(student)
    assert (asked.status, asked) == (PENDING, await room.join(student))
    await identity.refresh(student)
    look = GetClassRequest(class_id=room.made.class_id)
    assert (await refused(identity.classes.GetClass(look, **student.auth))).reason == "ACCESS_DENIED"
    assert [one.user_id for one in await room.listed(room.teacher)] == [room.teacher.user_id]
    assert [one.user_id for one in await room.listed(room.teacher, PENDING)] == [student.user_id]

    approved = await room.approve(room.teacher, student.user_id)
    assert (approved.status, approved.role, approved.rostered) == (ACTIVE, STUDENT, False)
    await identity.refresh(student)
    assert (await identity.classes.GetClass(look, **student.auth)).my_role == STUDENT
    denied = await refused(room.approve(room.teacher, student.user_id))
    assert (denied.code, denied.reason) == ("FAILED_PRECONDITION", "MEMBERSHIP_NOT_PENDING")
    denied = await refused(room.reject(room.teacher, student.user_id))
    assert denied.metadata == {"class_id": room.made.class_id, "user_id": student.user_id}


async def test_who_is_turned_away_may_ask_again_and_who_asks_may_think_better(identity: Identity) -> None:
    room, student = await Classroom.open(identity), await identity.sign_up()
    await room.take_by_approval()
    await room.join(student)
    await room.reject(room.teacher, student.user_id)
    for attempt in (room.approve, room.reject, room.remove):
        denied = await refused(attempt(room.teacher, student.user_id))
        assert denied.reason == "MEMBERSHIP_NOT_FOUND"
    assert (await room.join(student)).status == PENDING
    await room.leave(student)
    # Of a wait no token tells, so that none ends with it.
    assert (await refused(room.leave(student))).reason == "MEMBERSHIP_NOT_FOUND"
    assert room.stored(student.user_id) == ("LEFT", False)


async def test_of_approvals_at_once_one_lets_in(identity: Identity) -> None:
    room, student = await Classroom.open(identity), await identity.sign_up()
    await room.take_by_approval()
    await room.join(student)
    outcomes = await asyncio.gather(
        *(room.approve(room.teacher, student.user_id) for _ in range(5)), return_exceptions=True
    )
    assert reasons(outcomes) == ["MEMBERSHIP_NOT_PENDING"] * 4
    assert room.stored(student.user_id) == ("ACTIVE", True)


async def test_whatever_happens_to_a_wait_at_once_the_right_follows_the_membership(
    identity: Identity,
) -> None:
    room, student = await Classroom.open(identity), await identity.sign_up()
    await room.take_by_approval()
    for _ in range(5):
        await asyncio.gather(
            room.join(student),
            room.approve(room.teacher, student.user_id),
            room.leave(student),
            room.join(student),
            return_exceptions=True,
        )
        status, right = room.stored(student.user_id)
        assert right == (status == "ACTIVE")
        await identity.refresh(student)


async def test_teachers_bring_back_who_was_there_and_learn_nothing_of_others(identity: Identity) -> None:
    room, admin = await Classroom.open(identity), await identity.sign_up_admin()
    removed, stranger = await identity.sign_up(), await identity.sign_up()
    deleted = await identity.sign_up()
    for person in (removed, deleted):
        await identity.join(person, room.made)
    await room.remove(room.teacher, removed.user_id)
    assert (await refused(room.join(removed))).reason in ("JOIN_CODE_UNKNOWN", "RIGHTS_CHANGED")
    change(identity, "UPDATE users SET deleted_at = now() WHERE user_id = %s", deleted.user_id)

    assert (await room.add(room.teacher, removed.user_id, TEACHER)).role == TEACHER
    # Of who is a member already nothing changes.
    assert (await room.add(room.teacher, removed.user_id, STUDENT)).role == TEACHER
    nobody = str(uuid.uuid4())
    for user_id in (stranger.user_id, deleted.user_id, nobody):
        denied = await refused(room.add(room.teacher, user_id))
        assert (denied.code, denied.reason) == ("NOT_FOUND", "USER_NOT_FOUND")
        assert denied.metadata == {"user_id": user_id}
    assert [one.user_id for one in await room.listed(room.teacher)] == [
        room.teacher.user_id,
        removed.user_id,
    ]
    change(identity, "UPDATE users SET guest = true WHERE user_id = %s", stranger.user_id)
    for user_id in (stranger.user_id, deleted.user_id, nobody):
        assert (await refused(room.add(admin, user_id))).reason == "USER_NOT_FOUND"
    change(identity, "UPDATE users SET guest = false WHERE user_id = %s", stranger.user_id)
    assert (await room.add(admin, stranger.user_id)).status == ACTIVE


async def test_only_a_teacher_who_is_let_in_counts_as_one(identity: Identity) -> None:
    room, other = await Classroom.open(identity), await identity.sign_up_teacher()
    await identity.join(other, room.made)
    await room.set_role(room.teacher, other.user_id, TEACHER)
    for column in ("deleted_at", "deactivated_at"):
        change(identity, f"UPDATE users SET {column} = now() WHERE user_id = %s", other.user_id)
        assert (await refused(room.leave(room.teacher))).reason == "LAST_TEACHER"
        change(identity, f"UPDATE users SET {column} = NULL WHERE user_id = %s", other.user_id)
    await room.leave(room.teacher)


async def test_a_teacher_who_leaves_and_one_who_is_erased_at_once_do_not_both_go(identity: Identity) -> None:
    room, other = await Classroom.open(identity), await identity.sign_up_teacher()
    admin = await identity.sign_up_admin()
    await identity.join(other, room.made)
    await room.set_role(room.teacher, other.user_id, TEACHER)
    erasure = identity.users.EraseUser(
        EraseUserRequest(user_id=other.user_id, confirmation="ERASE"), **admin.auth
    )
    outcomes = await asyncio.gather(room.leave(room.teacher), erasure, return_exceptions=True)
    assert reasons(outcomes) == ["LAST_TEACHER"]


async def test_archived_classes_take_no_room(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_rules, "MAX_CLASSES", 1)
    room = await Classroom.open(identity)
    denied = await refused(identity.new_class(room.teacher))
    assert (denied.reason, denied.metadata) == ("TOO_MANY_CLASSES", {"limit": "1"})
    await room.archive(room.teacher)
    await identity.refresh(room.teacher)
    await identity.new_class(room.teacher)
    assert (await room.unarchive(room.teacher)).my_role == TEACHER


async def test_nobody_is_let_into_more_classes_than_a_token_carries(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(class_rules, "MAX_CLASSES", 2)
    student, admin = await identity.sign_up(), await identity.sign_up_admin()
    rooms = [await Classroom.open(identity) for _ in range(4)]
    for room in rooms[:2]:
        await room.take_by_approval()
        await room.join(student)
    ways = [
        *(room.approve(room.teacher, student.user_id) for room in rooms[:2]),
        rooms[2].add(admin, student.user_id),
        rooms[3].join(student),
    ]
    outcomes = await asyncio.gather(*ways, return_exceptions=True)
    assert reasons(outcomes) == ["TOO_MANY_CLASSES"] * 2


async def test_who_leaves_a_class_they_are_not_in_cannot_tell_it_from_none(identity: Identity) -> None:
    room, outsider = await Classroom.open(identity), await identity.sign_up()
    there = await refused(room.leave(outsider))
    room.made.class_id = str(uuid.uuid4())
    assert there.reason == (await refused(room.leave(outsider))).reason == "MEMBERSHIP_NOT_FOUND"


async def test_a_promoted_member_keeps_their_tokens_and_a_demoted_one_does_not(identity: Identity) -> None:
    room, student = await Classroom.open(identity), await identity.sign_up()
    await identity.join(student, room.made)
    look = GetClassRequest(class_id=room.made.class_id)
    await room.set_role(room.teacher, student.user_id, TEACHER)
    await room.set_role(room.teacher, student.user_id, TEACHER)
    await identity.classes.GetClass(look, **student.auth)
    await room.set_role(room.teacher, student.user_id, STUDENT)
    lost = await soon_refused(lambda: identity.classes.GetClass(look, **student.auth))
    assert lost.reason == "RIGHTS_CHANGED"


async def test_every_change_of_a_membership_is_audited(identity: Identity) -> None:
    room, student = await Classroom.open(identity), await identity.sign_up()
    admin = await identity.sign_up_admin()
    user_id = student.user_id
    await room.join(student)
    await room.set_role(room.teacher, user_id, TEACHER)
    await room.set_role(room.teacher, user_id, TEACHER)
    await room.remove(room.teacher, user_id)
    await room.add(room.teacher, user_id)
    await identity.refresh(student)
    await room.leave(student)
    await room.take_by_approval()
    await identity.refresh(student)
    for answer in (room.reject, room.approve):
        await room.join(student)
        await answer(room.teacher, user_id)
    *found, created = await identity.audited(admin, user_id=user_id)
    assert created.action == AuditAction.AUDIT_ACTION_USER_CREATED
    told = [(AuditAction.Name(one.action)[24:], dict(one.details)) for one in found[::-1]]
    assert told == [
        ("ADDED", {"role": "STUDENT", "how": "JOINED"}),
        ("ROLE_SET", {"before": "STUDENT", "after": "TEACHER"}),
        ("ENDED", {"how": "REMOVED"}),
        ("ADDED", {"role": "STUDENT", "how": "ADDED"}),
        ("ENDED", {"how": "LEFT"}),
        ("ENDED", {"how": "REJECTED"}),
        ("ADDED", {"role": "STUDENT", "how": "APPROVED"}),
    ]
    assert {one.class_id for one in found} == {room.made.class_id}
    assert found[0].actor_user_id == room.teacher.user_id


def reasons(outcomes: Iterable[object]) -> list[str]:
    """Why those calls were refused that were."""
    return [refusal(outcome).reason for outcome in outcomes if isinstance(outcome, grpc.aio.AioRpcError)]
