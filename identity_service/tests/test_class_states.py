"""The states of a class: active, archived, deleted and purged."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from chassis.database import Database
from chassis.testing import eventually, eventually_error, expect_error
from identity_service.administration.config.reader import ConfigReader
from identity_service.classes import commands
from identity_service.tests.classroom import TEACHER, Classroom
from identity_service.tests.conftest import Identity, Person
from meno.access.v1.access_pb2 import ClassState
from meno.access.v1.resources_pb2 import AuditAction
from meno.identity.v1.class_service_pb2 import (
    GetClassRequest,
    ListAllClassesRequest,
    ListClassesRequest,
    UpdateClassRequest,
)
from meno.identity.v1.resources_pb2 import Class, JoinPolicy

ACTIVE = ClassState.CLASS_STATE_ACTIVE
ARCHIVED = ClassState.CLASS_STATE_ARCHIVED
DELETED = ClassState.CLASS_STATE_DELETED


async def get(identity: Identity, by: Person, class_info: Class) -> Class:
    return await identity.classes.GetClass(GetClassRequest(class_id=class_info.class_id), **by.auth)


async def test_an_update_changes_only_the_given_fields(identity: Identity) -> None:
    room = await Classroom.create(identity)
    changed = await room.update(room.teacher, description="Rings", join_policy=JoinPolicy.JOIN_POLICY_CLOSED)
    assert (changed.title, changed.description) == ("Algebra", "Rings")
    assert changed.join_policy == JoinPolicy.JOIN_POLICY_CLOSED
    cleared = await room.update(room.teacher, description="", etag=changed.etag)
    assert (cleared.description, cleared.join_policy) == ("", JoinPolicy.JOIN_POLICY_CLOSED)
    assert cleared == await get(identity, room.teacher, room.class_info)


async def test_an_update_without_a_mask_changes_the_fields_that_are_set(identity: Identity) -> None:
    room = await Classroom.create(identity)
    await room.update(room.teacher, description="Rings")
    request = UpdateClassRequest(class_id=room.class_info.class_id, class_info=Class(title="Analysis"))
    changed = await identity.classes.UpdateClass(request, **room.teacher.auth)
    assert (changed.title, changed.description) == ("Analysis", "Rings")
    assert changed.join_policy == room.class_info.join_policy


@pytest.mark.parametrize("path", ["title", "join_policy", "state"])
async def test_a_mask_cannot_clear_a_required_field_or_change_another(identity: Identity, path: str) -> None:
    room = await Classroom.create(identity)
    request = UpdateClassRequest(
        class_id=room.class_info.class_id, class_info=Class(), update_mask=FieldMask(paths=[path])
    )
    error = await expect_error(identity.classes.UpdateClass(request, **room.teacher.auth))
    assert (error.code, error.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")


async def test_an_outdated_etag_is_refused_by_update_and_delete(identity: Identity) -> None:
    room = await Classroom.create(identity)
    current = await room.update(room.teacher, title="Analysis")
    for attempt in (
        room.update(room.teacher, title="Algebra", etag=room.class_info.etag),
        room.delete(room.teacher, etag=room.class_info.etag),
    ):
        error = await expect_error(attempt)
        assert (error.code, error.reason) == ("ABORTED", "ETAG_MISMATCH")
        assert error.metadata == {"current": current.etag}


async def test_an_archived_class_is_read_only(identity: Identity) -> None:
    room = await Classroom.create(identity)
    student, admin = await identity.sign_up(), await identity.sign_up_admin()
    await identity.join(student, room.class_info)
    await room.archive(room.teacher)
    for person in (room.teacher, student):
        error = await eventually_error(lambda person=person: get(identity, person, room.class_info))  # type: ignore[misc]
        assert error.reason == "TOKEN_REVOKED"
        await identity.refresh(person)
        assert (await get(identity, person, room.class_info)).state == ARCHIVED
    user_id = student.user_id
    writes: list[Callable[[Person], Awaitable[object]]] = [
        lambda by: room.update(by, title="New"),
        room.rotate,
        lambda by: room.add(by, user_id),
        lambda by: room.approve(by, user_id),
        lambda by: room.set_role(by, user_id, TEACHER),
    ]
    for write in writes:
        assert (await expect_error(write(room.teacher))).reason == "ACCESS_DENIED"
        error = await expect_error(write(admin))
        assert (error.code, error.reason) == ("FAILED_PRECONDITION", "CLASS_ARCHIVED")


async def test_archiving_and_unarchiving_again_change_nothing(identity: Identity) -> None:
    room, admin = await Classroom.create(identity), await identity.sign_up_admin()
    first, second = await asyncio.gather(room.archive(admin), room.archive(admin))
    assert first == second
    await room.unarchive(admin)
    restored = await room.unarchive(admin)
    assert (restored.state, restored.HasField("archive_time")) == (ACTIVE, False)
    assert published_states(identity) == ["CLASS_STATE_ARCHIVED", "CLASS_STATE_ACTIVE"]


async def test_memberships_of_an_archived_class_can_end(identity: Identity) -> None:
    room, student = await Classroom.create(identity), await identity.sign_up()
    await identity.join(student, room.class_info)
    await room.archive(room.teacher)
    await identity.refresh(room.teacher)
    await room.remove(room.teacher, student.user_id)
    await room.leave(room.teacher)
    assert room.stored_membership(student.user_id) == ("REMOVED", False)
    assert room.stored_membership(room.teacher.user_id) == ("LEFT", False)


async def test_a_deleted_class_is_hidden_until_it_is_restored_unchanged(identity: Identity) -> None:
    room, admin = await Classroom.create(identity), await identity.sign_up_admin()
    await room.archive(room.teacher)
    await identity.refresh(room.teacher)
    deleted = await room.delete(room.teacher)
    assert (deleted.state, deleted.purge_time.seconds - deleted.delete_time.seconds) == (DELETED, 30 * 86_400)
    again = await room.delete(admin)
    assert (again.delete_time, again.etag) == (deleted.delete_time, deleted.etag)
    await identity.refresh(room.teacher)
    assert (await expect_error(get(identity, room.teacher, room.class_info))).reason == "ACCESS_DENIED"
    listed = await identity.classes.ListClasses(ListClassesRequest(user_id="me"), **room.teacher.auth)
    assert list(listed.classes) == []
    for attempt in (
        get(identity, admin, room.class_info),
        room.archive(admin),
        room.update(admin, title="New"),
    ):
        assert (await expect_error(attempt)).reason == "CLASS_NOT_FOUND"

    restored = await room.undelete(admin)
    assert (restored.state, restored.HasField("delete_time"), restored.HasField("purge_time")) == (
        ARCHIVED,
        False,
        False,
    )
    assert restored == await room.undelete(admin)
    await identity.refresh(room.teacher)
    # The revocation by the deletion is lifted when the process receives the restored state.
    seen = await eventually(lambda: get(identity, room.teacher, room.class_info))
    assert seen.my_role == TEACHER
    assert published_states(identity) == [
        "CLASS_STATE_ARCHIVED",
        "CLASS_STATE_DELETED",
        "CLASS_STATE_ARCHIVED",
    ]


async def test_join_codes_of_closed_archived_and_deleted_classes_and_old_codes_are_not_found(
    identity: Identity,
) -> None:
    student, admin = await identity.sign_up(), await identity.sign_up_admin()
    closed, archived, deleted, rotated = [await Classroom.create(identity) for _ in range(4)]
    await closed.update(admin, join_policy=JoinPolicy.JOIN_POLICY_CLOSED)
    await archived.archive(admin)
    await deleted.delete(admin)
    await rotated.rotate(admin)
    for room in (closed, archived, deleted, rotated):
        assert (await expect_error(room.join(student))).reason == "JOIN_CODE_NOT_FOUND"


async def test_of_concurrently_rotated_join_codes_one_is_valid(identity: Identity) -> None:
    room, student = await Classroom.create(identity), await identity.sign_up()
    rotated = await asyncio.gather(*(room.rotate(room.teacher) for _ in range(4)))
    current = (await get(identity, room.teacher, room.class_info)).join_code
    accepted = []
    for one in rotated:
        try:
            await room.join(student, one.join_code)
            accepted.append(one.join_code)
        except Exception:
            continue
    assert accepted == [current]


async def test_the_classes_of_a_user_include_archived_ones(identity: Identity) -> None:
    room = await Classroom.create(identity)
    second = await identity.create_class(room.teacher)
    await room.archive(room.teacher)
    await identity.refresh(room.teacher)
    listed = await identity.classes.ListClasses(ListClassesRequest(user_id="me"), **room.teacher.auth)
    assert [(one.class_id, one.state) for one in listed.classes] == [
        (second.class_id, ACTIVE),
        (room.class_info.class_id, ARCHIVED),
    ]


async def test_my_role_is_the_role_of_the_caller_in_the_classes_of_another_user(identity: Identity) -> None:
    room, admin = await Classroom.create(identity), await identity.sign_up_admin()
    request = ListClassesRequest(user_id=room.teacher.user_id)
    [seen] = (await identity.classes.ListClasses(request, **admin.auth)).classes
    assert (seen.class_id, seen.my_role, seen.join_code) == (room.class_info.class_id, 0, "")


async def test_administrators_list_all_classes_newest_first(identity: Identity) -> None:
    room, admin = await Classroom.create(identity), await identity.sign_up_admin()
    created = [
        room.class_info.class_id,
        *[(await identity.create_class(room.teacher)).class_id for _ in range(3)],
    ]
    await room.delete(admin)
    for show_deleted, expected in ((False, created[:0:-1]), (True, created[::-1])):
        request = ListAllClassesRequest(page_size=2, show_deleted=show_deleted)
        first = await identity.classes.ListAllClasses(request, **admin.auth)
        request.page_token = first.next_page_token
        rest = await identity.classes.ListAllClasses(request, **admin.auth)
        assert [one.class_id for one in (*first.classes, *rest.classes)] == expected
        assert [one.HasField("purge_time") for one in rest.classes][-1] == show_deleted


async def test_a_class_is_purged_after_the_configured_days(identity: Identity, database: Database) -> None:
    config = ConfigReader(signup_role="STUDENT", allowed_roles=())
    due, kept = await Classroom.create(identity), await Classroom.create(identity)
    student, admin = await identity.sign_up(), await identity.sign_up_admin()
    for room in (due, kept):
        await identity.join(student, room.class_info)
    for room in (due, kept):
        await room.delete(admin)
    identity.execute_sql("UPDATE classes SET deleted_at = now() - interval '29 days'")
    assert not await commands.purge_next_class(database, config)
    identity.execute_sql(
        "UPDATE classes SET deleted_at = now() - interval '31 days' WHERE class_id = %s",
        due.class_info.class_id,
    )
    assert await commands.purge_next_class(database, config)
    assert not await commands.purge_next_class(database, config)
    assert due.stored_membership(student.user_id) == (None, False)
    assert kept.stored_membership(student.user_id) == ("ACTIVE", True)
    assert (await expect_error(due.undelete(admin))).reason == "CLASS_NOT_FOUND"
    assert (await kept.undelete(admin)).state == ACTIVE
    assert published_states(identity)[2] == "CLASS_STATE_PURGED"
    [purged, *_] = await identity.list_audited(admin, class_id=due.class_info.class_id)
    assert (purged.action, purged.actor_user_id) == (AuditAction.AUDIT_ACTION_CLASS_PURGED, "")
    assert identity.read_column("SELECT join_code FROM join_codes") == [kept.class_info.join_code]


async def test_every_change_of_a_class_is_audited(identity: Identity) -> None:
    room, admin = await Classroom.create(identity), await identity.sign_up_admin()
    await room.rotate(admin)
    for step in (room.archive, room.unarchive, room.delete, room.undelete):
        await step(admin)
    found = await identity.list_audited(admin, class_id=room.class_info.class_id)
    names = [AuditAction.Name(one.action).removeprefix("AUDIT_ACTION_") for one in found]
    assert names[::-1] == [
        "CLASS_CREATED",
        "MEMBERSHIP_ADDED",
        "JOIN_CODE_ROTATED",
        "CLASS_ARCHIVED",
        "CLASS_UNARCHIVED",
        "CLASS_DELETED",
        "CLASS_UNDELETED",
    ]
    assert dict(found[-2].details) == {"role": "TEACHER", "how": "CREATED"}
    assert {one.actor_user_id for one in found[:-2]} == {admin.user_id}


def published_states(identity: Identity) -> list[str]:
    """Returns the class states in the account feed, oldest first."""
    return identity.read_column(
        "SELECT body ->> 'state' FROM account_events WHERE kind = 'class_changed' ORDER BY sequence"
    )
