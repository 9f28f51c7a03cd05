"""Rosters, imported over gRPC into a database."""

import asyncio
from typing import Any

import grpc
import psycopg
import pytest
from google.rpc.error_details_pb2 import BadRequest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chassis.testing import refusal, refused, soon_refused
from identity_service.tests import rosters
from identity_service.tests.classroom import Classroom, change
from identity_service.tests.conftest import Identity, Person
from identity_service.tests.rosters import enrolled, role, school, send, told
from meno.access.v1.audit_service_pb2 import AuditAction
from meno.identity.v1.class_service_pb2 import (
    GetClassRequest,
    JoinPolicy,
    ListAllClassesRequest,
    ListMembershipsRequest,
    Membership,
)
from meno.identity.v1.user_service_pb2 import GetUserRequest


async def imported(identity: Identity, admin: Person) -> Classroom:
    """The class of `rosters.school`, imported; its administrator stands in for its teacher."""
    await send(identity, admin, school())
    [made] = (await identity.classes.ListAllClasses(ListAllClassesRequest(), **admin.auth)).classes
    return Classroom(identity, admin, made)


async def members(identity: Identity, admin: Person, class_id: str) -> list[Membership]:
    request = ListMembershipsRequest(class_id=class_id)
    return [*(await identity.classes.ListMemberships(request, **admin.auth)).memberships]


async def test_a_dry_run_tells_what_the_import_does_and_changes_nothing(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    before = rows(identity)
    shown = await send(identity, admin, school(), dry_run=True)
    assert told(shown) == [
        ("ADDED", "users", 2, "t"),
        ("ADDED", "users", 3, "s"),
        ("ADDED", "classes", 2, "c"),
        ("ADDED", "enrollments", 2, "t-c"),
        ("ADDED", "enrollments", 3, "s-c"),
    ]
    assert (shown.users.added, shown.classes.added, shown.enrollments.added) == (2, 1, 2)
    assert (rows(identity), shown.applied, shown.truncated) == (before, False, False)
    done = await send(identity, admin, school(), etag=shown.etag)
    assert done.applied
    done.applied = False
    assert done == shown
    again = await send(identity, admin, school(), dry_run=True)
    assert (told(again), again.users.unchanged, again.enrollments.unchanged) == ([], 2, 2)
    stale = await refused(send(identity, admin, school(), etag=shown.etag))
    assert (stale.code, stale.reason, stale.metadata) == ("ABORTED", "ETAG_MISMATCH", {"etag": again.etag})


async def test_what_is_imported_is_there(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    more = {"sourcedId": "n", "username": "Nell", "email": "nell@school.example", "phone": "+441234567890"}
    await send(identity, admin, school(users=[{**more, "grades": "07"}], enrollments=[enrolled("n", "c")]))
    [made] = (await identity.classes.ListAllClasses(ListAllClassesRequest(), **admin.auth)).classes
    assert (made.title, made.join_policy) == ("Algebra", JoinPolicy.JOIN_POLICY_CLOSED)
    listed = await members(identity, admin, made.class_id)
    assert sorted((one.display_name, one.role, one.rostered) for one in listed) == [
        ("Ada Lovelace", 1, True),
        ("Ada Lovelace", 1, True),
        ("Emmy Lovelace", 2, True),
    ]
    found = [
        await identity.users.GetUser(GetUserRequest(user_id=one.user_id), **admin.auth) for one in listed
    ]
    [nell] = [one for one in found if one.login_name]
    assert (nell.login_name, nell.email, nell.phone) == ("Nell", "nell@school.example", "+441234567890")
    assert (nell.full_name, nell.nickname) == ("Ada Lovelace", "Ada")
    assert (
        rows(identity, "SELECT proven_at FROM login_identifiers WHERE kind <> 'LOGIN_NAME'") == [(None,)] * 2
    )
    assert rows(identity, "SELECT grade FROM users WHERE grade IS NOT NULL") == [(7,)]
    assert rows(identity, "SELECT role FROM users WHERE display_name LIKE 'Emmy%'") == [("TEACHER",)]
    assert rows(identity, "SELECT count(*) FROM credentials") == [(1,)]


async def test_faulty_rows_are_named_and_nothing_is_applied(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    before = rows(identity)
    archive = school(users=[{"sourcedId": "n", "email": "nowhere"}], enrollments=[enrolled("s", "x")])
    shown = await send(identity, admin, archive, dry_run=True)
    faulty = [one for one in shown.differences if one.problem]
    assert [(one.file, one.line, [*one.columns]) for one in faulty] == [
        ("users.csv", 4, ["email"]),
        ("enrollments.csv", 4, ["classSourcedId"]),
    ]
    denied = await refused(send(identity, admin, archive, etag=shown.etag))
    assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "ROSTER_FAULTY")
    assert denied.metadata == {"faulty": "2"}
    violations = denied.detail(BadRequest).field_violations
    assert [one.field for one in violations] == ["users.csv[4].email", "enrollments.csv[4].classSourcedId"]
    assert [one.description for one in violations] == [one.problem for one in faulty]
    assert rows(identity) == before


async def test_what_is_no_roster_is_refused(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    for dry_run in (True, False):
        denied = await refused(send(identity, admin, b"PK no zip", dry_run=dry_run))
        assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")


async def test_who_leaves_the_roster_loses_the_right_and_may_come_back(identity: Identity) -> None:
    admin, teacher = await identity.sign_up_admin(), await identity.sign_up_teacher()
    student = await identity.sign_up()
    for person, address in ((teacher, "t@school.example"), (student, "s@school.example")):
        change(
            identity,
            "INSERT INTO login_identifiers VALUES (%s, 'EMAIL', %s, %s, now())",
            person.user_id,
            address,
            address,
        )
    people = [{"sourcedId": name, "email": f"{name}@school.example"} for name in ("t", "s")]
    tables: dict[str, Any] = {"users": people, "classes": [{"sourcedId": "c"}]}
    whole = rosters.roster(**tables, enrollments=[enrolled("t", "c", "teacher"), enrolled("s", "c")])
    joined = await send(identity, admin, whole)
    assert (joined.users.changed, joined.users.added) == (2, 0)
    await identity.refresh(student)
    [made] = (await identity.classes.ListAllClasses(ListAllClassesRequest(), **admin.auth)).classes
    look = GetClassRequest(class_id=made.class_id)
    await identity.classes.GetClass(look, **student.auth)

    await send(identity, admin, rosters.roster(**tables, enrollments=[enrolled("t", "c", "teacher")]))
    lost = await soon_refused(lambda: identity.classes.GetClass(look, **student.auth))
    assert lost.reason == "RIGHTS_CHANGED"
    room = Classroom(identity, admin, made)
    assert room.stored(student.user_id) == ("LEFT", False)
    await send(identity, admin, whole)
    assert room.stored(student.user_id) == ("ACTIVE", True)


async def test_a_roster_brings_back_whom_a_teacher_removed(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    room = await imported(identity, admin)
    [student] = [one for one in await room.listed(admin) if one.role == 1]
    await room.remove(admin, student.user_id)
    again = await send(identity, admin, school())
    assert told(again) == [("ADDED", "enrollments", 3, "s-c")]
    assert room.stored(student.user_id) == ("ACTIVE", True)


async def test_names_follow_the_roster_but_not_what_a_person_chose_to_be_shown_as(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    await send(identity, admin, rosters.roster(users=[{"sourcedId": "a"}, {"sourcedId": "b"}]))
    change(
        identity,
        "UPDATE users SET display_name = 'Countess' "
        "WHERE user_id = (SELECT user_id FROM roster_users WHERE sourced_id = 'b')",
    )
    users = [{"sourcedId": name, "familyName": "King"} for name in ("a", "b")]
    renamed = await send(identity, admin, rosters.roster(users=users))
    assert [[*one.columns] for one in renamed.differences] == [["givenName", "familyName"]] * 2
    names = "SELECT full_name, display_name FROM users JOIN roster_users USING (user_id) ORDER BY sourced_id"
    assert rows(identity, names) == [("Ada King", "Ada King"), ("Ada King", "Countess")]


async def test_a_class_that_leaves_the_roster_is_archived_everywhere(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    room = await imported(identity, admin)
    await send(
        identity, admin, rosters.roster("delta", classes=[{"sourcedId": "c", "status": "tobedeleted"}])
    )
    assert (await room.unarchive(admin)).HasField("archive_time") is False
    states = "SELECT body ->> 'state' FROM account_events WHERE kind = 'class_changed' ORDER BY sequence"
    assert rows(identity, states) == [("CLASS_STATE_ARCHIVED",), ("CLASS_STATE_ACTIVE",)]


async def test_an_import_is_audited_change_by_change(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    room = await imported(identity, admin)
    swapped = [enrolled("s", "c", "teacher"), enrolled("t", "c", status="tobedeleted")]
    await send(identity, admin, rosters.roster("delta", roles=[role("s", "teacher")], enrollments=swapped))
    *found, _ = await identity.audited(admin)  # the administrator came first
    names = [AuditAction.Name(one.action).removeprefix("AUDIT_ACTION_") for one in found]
    assert names[::-1] == [
        "USER_CREATED",
        "USER_CREATED",
        "CLASS_CREATED",
        "MEMBERSHIP_ADDED",
        "MEMBERSHIP_ADDED",
        "ROSTER_IMPORTED",
        "USER_ROLE_SET",
        "MEMBERSHIP_ROLE_SET",
        "MEMBERSHIP_ENDED",
        "ROSTER_IMPORTED",
    ]
    assert {one.actor_user_id for one in found} == {admin.user_id}
    assert dict(found[0].details) == {
        "users_changed": "1",
        "enrollments_changed": "1",
        "enrollments_leaving": "1",
    }
    assert dict(found[1].details) == {"how": "ROSTER"}
    assert (dict(found[2].details), found[2].class_id) == (
        {"before": "STUDENT", "after": "TEACHER"},
        room.made.class_id,
    )


async def test_imports_at_once_make_everything_once(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    outcomes = await asyncio.gather(*(send(identity, admin, school()) for _ in range(4)))
    assert sorted(one.users.added for one in outcomes) == [0, 0, 0, 2]
    assert rows(identity, "SELECT count(*) FROM roster_users") == [(2,)]


async def test_the_last_teacher_does_not_leave_while_a_roster_takes_the_other_away(
    identity: Identity,
) -> None:
    admin, other = await identity.sign_up_admin(), await identity.sign_up_teacher()
    room = await imported(identity, admin)
    await room.add(admin, other.user_id, 2)  # type: ignore[arg-type]
    gone = rosters.roster("delta", enrollments=[enrolled("t", "c", status="tobedeleted")])
    outcomes = await asyncio.gather(send(identity, admin, gone), room.leave(other), return_exceptions=True)
    denied = [refusal(one).reason for one in outcomes if isinstance(one, grpc.aio.AioRpcError)]
    assert denied in (["LAST_TEACHER"], ["ROSTER_FAULTY"])


async def test_more_differences_than_an_answer_holds_are_counted(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.paging.LARGEST_PAGE", 100)
    admin = await identity.sign_up_admin()
    users = [{"sourcedId": f"person-{number}"} for number in range(20)]
    shown = await send(identity, admin, rosters.roster(users=users), dry_run=True)
    assert (shown.truncated, shown.users.added) == (True, 20)
    assert 0 < len(shown.differences) < 20


PEOPLE = ("p1", "p2", "p3", "p4")
GROUPS = ("g1", "g2")


@st.composite
def any_roster(draw: st.DrawFn) -> bytes:
    """A roster that can be applied to whatever earlier ones left: each class in it has the teacher `t`."""
    people = draw(st.sets(st.sampled_from(PEOPLE)))
    groups = draw(st.sets(st.sampled_from(GROUPS), min_size=1))
    users = [
        {
            "sourcedId": name,
            "givenName": draw(st.sampled_from(["Ada", "Emmy"])),
            "enabledUser": draw(st.sampled_from(["true", "true", "false"])),
            "email": draw(st.sampled_from(["", f"{name}@school.example"])),
        }
        for name in sorted(people)
    ]
    places = draw(
        st.sets(st.tuples(st.sampled_from(sorted(people) or ["t"]), st.sampled_from(sorted(groups))))
    )
    enrollments = [
        enrolled(user, group, draw(st.sampled_from(["student", "teacher", "proctor"])))
        for user, group in sorted(places)
        if user != "t"
    ]
    return rosters.roster(
        draw(st.sampled_from(["bulk", "delta"])),
        users=[{"sourcedId": "t"}, *users],
        roles=[role(name, draw(st.sampled_from(["student", "teacher"]))) for name in sorted({"t", *people})],
        classes=[{"sourcedId": name, "title": draw(st.sampled_from(["A", "B"]))} for name in sorted(groups)],
        enrollments=[*(enrolled("t", group, "teacher") for group in sorted(groups)), *enrollments],
    )


async def test_what_was_applied_makes_no_difference_any_more(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    loop = asyncio.get_running_loop()

    @settings(max_examples=5, deadline=None, suppress_health_check=[*HealthCheck])
    @given(any_roster())
    def applied_twice(archive: bytes) -> None:
        def call(*, dry_run: bool) -> Any:
            sent = send(identity, admin, archive, dry_run=dry_run)
            return asyncio.run_coroutine_threadsafe(sent, loop).result()

        # A class that an earlier example archived is taken into use by an administrator.
        change(identity, "UPDATE classes SET archived_at = NULL")
        shown = call(dry_run=True)
        assert shown.enrollments.faulty + shown.classes.faulty + shown.users.faulty == 0
        done = call(dry_run=False)
        assert (done.differences, done.etag) == (shown.differences, shown.etag)
        before = rows(identity)
        assert told(call(dry_run=True)) == told(call(dry_run=False)) == []
        assert rows(identity) == before
        rights = "SELECT class_id, user_id, role FROM {} ORDER BY class_id, user_id"
        held = rows(identity, rights.format("class_memberships WHERE status = 'ACTIVE'"))
        assert rows(identity, rights.format("user_classes")) == held

    await asyncio.to_thread(applied_twice)


WHOLE = """
SELECT (SELECT json_agg(u ORDER BY user_id) FROM users u)::text,
       (SELECT json_agg(i ORDER BY canonical) FROM login_identifiers i)::text,
       (SELECT json_agg(c ORDER BY class_id) FROM classes c)::text,
       (SELECT json_agg(m ORDER BY class_id, user_id) FROM class_memberships m)::text,
       (SELECT json_agg(r ORDER BY sourced_id) FROM roster_users r)::text,
       (SELECT json_agg(r ORDER BY sourced_id) FROM roster_classes r)::text
"""
"""Whatever a roster may change."""


def rows(identity: Identity, query: str = WHOLE) -> list[tuple[Any, ...]]:
    with psycopg.connect(identity.database_url) as connection:
        return connection.execute(query.encode()).fetchall()
