"""A class in use, archived, deleted and purged."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import psycopg

from chassis.database import Database
from chassis.testing import refused, soon_refused
from identity_service.administration.config.config import Config
from identity_service.classes import purging
from identity_service.settings import Settings
from identity_service.tests.classroom import TEACHER, Classroom, change
from identity_service.tests.conftest import Identity, Person
from meno.access.v1.access_pb2 import ClassState
from meno.access.v1.audit_service_pb2 import AuditAction
from meno.identity.v1.class_service_pb2 import (
    Class,
    GetClassRequest,
    JoinPolicy,
    ListAllClassesRequest,
    ListClassesRequest,
)

ACTIVE = ClassState.CLASS_STATE_ACTIVE
ARCHIVED = ClassState.CLASS_STATE_ARCHIVED
DELETED = ClassState.CLASS_STATE_DELETED


async def get(identity: Identity, by: Person, made: Class) -> Class:
    return await identity.classes.GetClass(GetClassRequest(class_id=made.class_id), **by.auth)


async def test_what_is_told_of_a_class_changes_field_by_field(identity: Identity) -> None:
    room = await Classroom.open(identity)
    changed = await room.update(room.teacher, description="Rings", join_policy=JoinPolicy.JOIN_POLICY_CLOSED)
    assert (changed.title, changed.description) == ("Algebra", "Rings")
    assert changed.join_policy == JoinPolicy.JOIN_POLICY_CLOSED
    cleared = await room.update(room.teacher, description="", etag=changed.etag)
    assert (cleared.description, cleared.join_policy) == ("", JoinPolicy.JOIN_POLICY_CLOSED)
    assert cleared == await get(identity, room.teacher, room.made)


async def test_a_class_that_changed_since_is_neither_changed_nor_deleted(identity: Identity) -> None:
    room = await Classroom.open(identity)
    current = await room.update(room.teacher, title="Analysis")
    for attempt in (
        room.update(room.teacher, title="Algebra", etag=room.made.etag),
        room.delete(room.teacher, etag=room.made.etag),
    ):
        denied = await refused(attempt)
        assert (denied.code, denied.reason) == ("ABORTED", "ETAG_MISMATCH")
        assert denied.metadata == {"etag": current.etag}


async def test_an_archived_class_is_seen_by_its_members_and_written_by_nobody(identity: Identity) -> None:
    room = await Classroom.open(identity)
    student, admin = await identity.sign_up(), await identity.sign_up_admin()
    await identity.join(student, room.made)
    await room.archive(room.teacher)
    for person in (room.teacher, student):
        lost = await soon_refused(lambda person=person: get(identity, person, room.made))  # type: ignore[misc]
        assert lost.reason == "RIGHTS_CHANGED"
        await identity.refresh(person)
        assert (await get(identity, person, room.made)).state == ARCHIVED
    user_id = student.user_id
    writes: list[Callable[[Person], Awaitable[object]]] = [
        lambda by: room.update(by, title="New"),
        room.rotate,
        lambda by: room.add(by, user_id),
        lambda by: room.approve(by, user_id),
        lambda by: room.set_role(by, user_id, TEACHER),
    ]
    for write in writes:
        assert (await refused(write(room.teacher))).reason == "ACCESS_DENIED"
        denied = await refused(write(admin))
        assert (denied.code, denied.reason) == ("FAILED_PRECONDITION", "CLASS_ARCHIVED")


async def test_archiving_again_changes_nothing(identity: Identity) -> None:
    room, admin = await Classroom.open(identity), await identity.sign_up_admin()
    first, second = await asyncio.gather(room.archive(admin), room.archive(admin))
    assert first == second
    await room.unarchive(admin)
    back = await room.unarchive(admin)
    assert (back.state, back.HasField("archive_time")) == (ACTIVE, False)
    assert states_told(identity) == ["CLASS_STATE_ARCHIVED", "CLASS_STATE_ACTIVE"]


async def test_a_membership_of_an_archived_class_can_end(identity: Identity) -> None:
    room, student = await Classroom.open(identity), await identity.sign_up()
    await identity.join(student, room.made)
    await room.archive(room.teacher)
    await identity.refresh(room.teacher)
    await room.remove(room.teacher, student.user_id)
    await room.leave(room.teacher)
    assert room.stored(student.user_id) == ("REMOVED", False)
    assert room.stored(room.teacher.user_id) == ("LEFT", False)


async def test_a_deleted_class_is_seen_by_nobody_and_comes_back_as_it_was(identity: Identity) -> None:
    room, admin = await Classroom.open(identity), await identity.sign_up_admin()
    await room.archive(room.teacher)
    await identity.refresh(room.teacher)
    gone = await room.delete(room.teacher)
    assert (gone.state, gone.purge_time.seconds - gone.delete_time.seconds) == (DELETED, 30 * 86_400)
    again = await room.delete(admin)
    assert (again.delete_time, again.etag) == (gone.delete_time, gone.etag)
    await identity.refresh(room.teacher)
    assert (await refused(get(identity, room.teacher, room.made))).reason == "ACCESS_DENIED"
    listed = await identity.classes.ListClasses(ListClassesRequest(user_id="me"), **room.teacher.auth)
    assert list(listed.classes) == []
    for attempt in (get(identity, admin, room.made), room.archive(admin), room.update(admin, title="New")):
        assert (await refused(attempt)).reason == "CLASS_NOT_FOUND"

    back = await room.undelete(admin)
    assert (back.state, back.HasField("delete_time"), back.HasField("purge_time")) == (ARCHIVED, False, False)
    assert back == await room.undelete(admin)
    await identity.refresh(room.teacher)
    assert (await get(identity, room.teacher, room.made)).my_role == TEACHER
    assert states_told(identity) == ["CLASS_STATE_ARCHIVED", "CLASS_STATE_DELETED", "CLASS_STATE_ARCHIVED"]


async def test_the_code_of_a_class_that_takes_nobody_is_unknown(identity: Identity) -> None:
    student, admin = await identity.sign_up(), await identity.sign_up_admin()
    closed, archived, deleted, rotated = [await Classroom.open(identity) for _ in range(4)]
    await closed.update(admin, join_policy=JoinPolicy.JOIN_POLICY_CLOSED)
    await archived.archive(admin)
    await deleted.delete(admin)
    await rotated.rotate(admin)
    for room in (closed, archived, deleted, rotated):
        assert (await refused(room.join(student))).reason == "JOIN_CODE_UNKNOWN"


async def test_of_join_codes_that_are_made_at_once_one_opens(identity: Identity) -> None:
    room, student = await Classroom.open(identity), await identity.sign_up()
    rotated = await asyncio.gather(*(room.rotate(room.teacher) for _ in range(4)))
    holds = (await get(identity, room.teacher, room.made)).join_code
    opened = []
    for one in rotated:
        try:
            await room.join(student, one.join_code)
            opened.append(one.join_code)
        except Exception:
            continue
    assert opened == [holds]


async def test_a_person_sees_archived_classes_among_their_own(identity: Identity) -> None:
    room = await Classroom.open(identity)
    second = await identity.new_class(room.teacher)
    await room.archive(room.teacher)
    await identity.refresh(room.teacher)
    listed = await identity.classes.ListClasses(ListClassesRequest(user_id="me"), **room.teacher.auth)
    assert [(one.class_id, one.state) for one in listed.classes] == [
        (second.class_id, ACTIVE),
        (room.made.class_id, ARCHIVED),
    ]


async def test_who_looks_at_somebodys_classes_sees_their_own_part_in_them(identity: Identity) -> None:
    room, admin = await Classroom.open(identity), await identity.sign_up_admin()
    request = ListClassesRequest(user_id=room.teacher.user_id)
    [seen] = (await identity.classes.ListClasses(request, **admin.auth)).classes
    assert (seen.class_id, seen.my_role, seen.join_code) == (room.made.class_id, 0, "")


async def test_administrators_list_every_class_newest_first(identity: Identity) -> None:
    room, admin = await Classroom.open(identity), await identity.sign_up_admin()
    made = [room.made.class_id, *[(await identity.new_class(room.teacher)).class_id for _ in range(3)]]
    await room.delete(admin)
    for show_deleted, expected in ((False, made[:0:-1]), (True, made[::-1])):
        request = ListAllClassesRequest(page_size=2, show_deleted=show_deleted)
        first = await identity.classes.ListAllClasses(request, **admin.auth)
        request.page_token = first.next_page_token
        rest = await identity.classes.ListAllClasses(request, **admin.auth)
        assert [one.class_id for one in (*first.classes, *rest.classes)] == expected
        assert [one.HasField("purge_time") for one in rest.classes][-1] == show_deleted


async def test_a_class_is_purged_when_it_was_deleted_long_enough(
    identity: Identity, database: Database, tmp_path: Path
) -> None:
    secret = "a secret of this test, long enough"
    config = Config(Settings(database_url=database.url, secret=secret, tls_directory=tmp_path))
    due, kept = await Classroom.open(identity), await Classroom.open(identity)
    student, admin = await identity.sign_up(), await identity.sign_up_admin()
    for room in (due, kept):
        await identity.join(student, room.made)
    for room in (due, kept):
        await room.delete(admin)
    change(identity, "UPDATE classes SET deleted_at = now() - interval '29 days'")
    assert not await purging.purge_next(database, config)
    change(
        identity,
        "UPDATE classes SET deleted_at = now() - interval '31 days' WHERE class_id = %s",
        due.made.class_id,
    )
    assert await purging.purge_next(database, config)
    assert not await purging.purge_next(database, config)
    assert due.stored(student.user_id) == (None, False)
    assert kept.stored(student.user_id) == ("ACTIVE", True)
    assert (await refused(due.undelete(admin))).reason == "CLASS_NOT_FOUND"
    assert (await kept.undelete(admin)).state == ACTIVE
    assert states_told(identity)[2] == "CLASS_STATE_PURGED"
    [purged, *_] = await identity.audited(admin, class_id=due.made.class_id)
    assert (purged.action, purged.actor_user_id) == (AuditAction.AUDIT_ACTION_CLASS_PURGED, "")
    with psycopg.connect(identity.database_url) as connection:
        codes = connection.execute("SELECT join_code FROM join_codes").fetchall()
    assert codes == [(kept.made.join_code,)]


async def test_what_becomes_of_a_class_is_audited(identity: Identity) -> None:
    room, admin = await Classroom.open(identity), await identity.sign_up_admin()
    await room.rotate(admin)
    for step in (room.archive, room.unarchive, room.delete, room.undelete):
        await step(admin)
    found = await identity.audited(admin, class_id=room.made.class_id)
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


def states_told(identity: Identity) -> list[str]:
    """The states of classes in the account feed, in their order."""
    with psycopg.connect(identity.database_url) as connection:
        return [
            state
            for (state,) in connection.execute(
                "SELECT body ->> 'state' FROM account_events WHERE kind = 'class_changed' ORDER BY sequence"
            )
        ]
