"""Imports of rosters, over gRPC."""

import asyncio
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chassis.testing import eventually_error, expect_error, parse_error
from identity_service.tests import rosters
from identity_service.tests.classroom import Classroom
from identity_service.tests.conftest import Identity, Person
from identity_service.tests.rosters import enrollment, import_roster, list_changes, role, school
from meno.access.v1.resources_pb2 import AuditAction
from meno.identity.v1.class_service_pb2 import GetClassRequest, ListAllClassesRequest, ListMembershipsRequest
from meno.identity.v1.resources_pb2 import JoinPolicy, Membership
from meno.identity.v1.user_service_pb2 import GetUserRequest


async def import_school(identity: Identity, admin: Person) -> Classroom:
    """Imports `rosters.school` and returns its class, with the administrator in place of the teacher."""
    await import_roster(identity, admin, school())
    [created] = (await identity.classes.ListAllClasses(ListAllClassesRequest(), **admin.auth)).classes
    return Classroom(identity, admin, created)


async def list_members(identity: Identity, admin: Person, class_id: str) -> list[Membership]:
    request = ListMembershipsRequest(class_id=class_id)
    return [*(await identity.classes.ListMemberships(request, **admin.auth)).memberships]


async def test_a_dry_run_returns_the_changes_and_applies_none(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    before = identity.execute_sql(STATE)
    preview = await import_roster(identity, admin, school(), dry_run=True)
    assert list_changes(preview) == [
        ("ADDED", "users", 2, "t"),
        ("ADDED", "users", 3, "s"),
        ("ADDED", "classes", 2, "c"),
        ("ADDED", "enrollments", 2, "t-c"),
        ("ADDED", "enrollments", 3, "s-c"),
    ]
    assert (preview.users.added, preview.classes.added, preview.enrollments.added) == (2, 1, 2)
    assert (identity.execute_sql(STATE), preview.applied, preview.truncated) == (before, False, False)
    done = await import_roster(identity, admin, school(), etag=preview.etag)
    assert done.applied
    done.applied = False
    assert done == preview
    again = await import_roster(identity, admin, school(), dry_run=True)
    assert (list_changes(again), again.users.unchanged, again.enrollments.unchanged) == ([], 2, 2)
    stale = await expect_error(import_roster(identity, admin, school(), etag=preview.etag))
    assert (stale.code, stale.reason, stale.metadata) == ("ABORTED", "ETAG_MISMATCH", {"current": again.etag})


async def test_an_import_creates_users_classes_and_memberships(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    more = {"sourcedId": "n", "username": "Nell", "email": "nell@school.example", "phone": "+441234567890"}
    await import_roster(
        identity, admin, school(users=[{**more, "grades": "07"}], enrollments=[enrollment("n", "c")])
    )
    [created] = (await identity.classes.ListAllClasses(ListAllClassesRequest(), **admin.auth)).classes
    assert (created.title, created.join_policy) == ("Algebra", JoinPolicy.JOIN_POLICY_CLOSED)
    listed = await list_members(identity, admin, created.class_id)
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
        identity.execute_sql("SELECT verified_at FROM login_identifiers WHERE kind <> 'LOGIN_NAME'")
        == [(None,)] * 2
    )
    assert identity.execute_sql("SELECT grade FROM users WHERE grade IS NOT NULL") == [(7,)]
    assert identity.execute_sql("SELECT role FROM users WHERE display_name LIKE 'Emmy%'") == [("TEACHER",)]
    assert identity.execute_sql("SELECT count(*) FROM credentials") == [(1,)]


async def test_a_long_name_is_kept_and_its_display_name_is_cut_at_a_word(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    family = "dos Santos Albuquerque Cavalcanti de Vasconcelos"
    names = "SELECT full_name, display_name, nickname FROM users WHERE full_name LIKE '%%Vasconcelos'"
    long_name = {"sourcedId": "n", "givenName": "Maria Aparecida Conceição", "familyName": family}
    await import_roster(identity, admin, school(users=[long_name]))
    cut = "Maria Aparecida Conceição dos Santos Albuquerque Cavalcanti de"
    assert identity.execute_sql(names) == [(f"Maria Aparecida Conceição {family}", cut, "Maria")]
    await import_roster(identity, admin, school(users=[long_name | {"givenName": "Ana"}]))
    assert identity.execute_sql(names) == [(f"Ana {family}", f"Ana {family}", "Maria")]


async def test_invalid_rows_are_listed_and_nothing_is_applied(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    before = identity.execute_sql(STATE)
    archive = school(users=[{"sourcedId": "n", "email": "nowhere"}], enrollments=[enrollment("s", "x")])
    preview = await import_roster(identity, admin, archive, dry_run=True)
    invalid = [one for one in preview.row_changes if one.problem]
    assert [(one.file, one.line, [*one.columns]) for one in invalid] == [
        ("users.csv", 4, ["email"]),
        ("enrollments.csv", 4, ["classSourcedId"]),
    ]
    error = await expect_error(import_roster(identity, admin, archive, etag=preview.etag))
    assert (error.code, error.reason) == ("INVALID_ARGUMENT", "ROSTER_INVALID")
    assert error.metadata == {"invalid": "2"}
    violations = error.detail(BadRequest).field_violations
    assert [one.field for one in violations] == ["users.csv[4].email", "enrollments.csv[4].classSourcedId"]
    assert [one.description for one in violations] == [one.problem for one in invalid]
    assert identity.execute_sql(STATE) == before


async def test_an_archive_that_is_not_a_zip_file_is_refused(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    for dry_run in (True, False):
        error = await expect_error(import_roster(identity, admin, b"PK not a zip file", dry_run=dry_run))
        assert (error.code, error.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")


async def test_a_user_removed_from_the_roster_loses_access_and_can_return(identity: Identity) -> None:
    admin, teacher = await identity.sign_up_admin(), await identity.sign_up_teacher()
    student = await identity.sign_up()
    for person, address in ((teacher, "t@school.example"), (student, "s@school.example")):
        identity.execute_sql(
            "INSERT INTO login_identifiers VALUES (%s, 'EMAIL', %s, %s, now())",
            person.user_id,
            address,
            address,
        )
    people = [{"sourcedId": name, "email": f"{name}@school.example"} for name in ("t", "s")]
    tables: dict[str, Any] = {"users": people, "classes": [{"sourcedId": "c"}]}
    complete = rosters.roster(**tables, enrollments=[enrollment("t", "c", "teacher"), enrollment("s", "c")])
    joined = await import_roster(identity, admin, complete)
    assert (joined.users.changed, joined.users.added) == (2, 0)
    await identity.refresh(student)
    [created] = (await identity.classes.ListAllClasses(ListAllClassesRequest(), **admin.auth)).classes
    get_class = GetClassRequest(class_id=created.class_id)
    await identity.classes.GetClass(get_class, **student.auth)

    await import_roster(
        identity, admin, rosters.roster(**tables, enrollments=[enrollment("t", "c", "teacher")])
    )
    error = await eventually_error(lambda: identity.classes.GetClass(get_class, **student.auth))
    assert error.reason == "TOKEN_REVOKED"
    room = Classroom(identity, admin, created)
    assert room.stored_membership(student.user_id) == ("LEFT", False)
    await import_roster(identity, admin, complete)
    assert room.stored_membership(student.user_id) == ("ACTIVE", True)


async def test_a_roster_restores_a_member_that_a_teacher_removed(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    room = await import_school(identity, admin)
    [student] = [one for one in await room.list_members(admin) if one.role == 1]
    await room.remove(admin, student.user_id)
    again = await import_roster(identity, admin, school())
    assert list_changes(again) == [("ADDED", "enrollments", 3, "s-c")]
    assert room.stored_membership(student.user_id) == ("ACTIVE", True)


async def test_a_roster_changes_full_names_but_not_chosen_display_names(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    await import_roster(identity, admin, rosters.roster(users=[{"sourcedId": "a"}, {"sourcedId": "b"}]))
    identity.execute_sql(
        "UPDATE users SET display_name = 'Countess' "
        "WHERE user_id = (SELECT user_id FROM roster_users WHERE sourced_id = 'b')",
    )
    users = [{"sourcedId": name, "familyName": "King"} for name in ("a", "b")]
    renamed = await import_roster(identity, admin, rosters.roster(users=users))
    assert [[*one.columns] for one in renamed.row_changes] == [["givenName", "familyName"]] * 2
    names = "SELECT full_name, display_name FROM users JOIN roster_users USING (user_id) ORDER BY sourced_id"
    assert identity.execute_sql(names) == [("Ada King", "Ada King"), ("Ada King", "Countess")]


async def test_a_class_removed_from_the_roster_is_archived_and_published(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    room = await import_school(identity, admin)
    await import_roster(
        identity, admin, rosters.roster("delta", classes=[{"sourcedId": "c", "status": "tobedeleted"}])
    )
    assert (await room.unarchive(admin)).HasField("archive_time") is False
    states = "SELECT body ->> 'state' FROM account_events WHERE kind = 'class_changed' ORDER BY sequence"
    assert identity.execute_sql(states) == [("CLASS_STATE_ARCHIVED",), ("CLASS_STATE_ACTIVE",)]


async def test_an_import_is_audited_change_by_change(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    room = await import_school(identity, admin)
    swapped = [enrollment("s", "c", "teacher"), enrollment("t", "c", status="tobedeleted")]
    await import_roster(
        identity, admin, rosters.roster("delta", roles=[role("s", "teacher")], enrollments=swapped)
    )
    *found, _ = await identity.list_audited(admin)  # the sign-up of the administrator
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
        "enrollments_removed": "1",
    }
    assert dict(found[1].details) == {"how": "ROSTER"}
    assert (dict(found[2].details), found[2].class_id) == (
        {"before": "STUDENT", "after": "TEACHER"},
        room.class_info.class_id,
    )


async def test_concurrent_imports_apply_the_changes_once(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    outcomes = await asyncio.gather(*(import_roster(identity, admin, school()) for _ in range(4)))
    assert sorted(one.users.added for one in outcomes) == [0, 0, 0, 2]
    assert identity.execute_sql("SELECT count(*) FROM roster_users") == [(2,)]


async def test_of_a_leave_and_an_import_that_remove_the_last_two_teachers_one_is_refused(
    identity: Identity,
) -> None:
    admin, other = await identity.sign_up_admin(), await identity.sign_up_teacher()
    room = await import_school(identity, admin)
    await room.add(admin, other.user_id, 2)  # type: ignore[arg-type]
    removal = rosters.roster("delta", enrollments=[enrollment("t", "c", status="tobedeleted")])
    outcomes = await asyncio.gather(
        import_roster(identity, admin, removal), room.leave(other), return_exceptions=True
    )
    reasons = [parse_error(one).reason for one in outcomes if isinstance(one, grpc.aio.AioRpcError)]
    assert reasons in (["LAST_TEACHER"], ["ROSTER_INVALID"])


async def test_changes_beyond_the_size_of_a_response_are_counted(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.paging.MAX_PAGE_BYTES", 100)
    admin = await identity.sign_up_admin()
    users = [{"sourcedId": f"person-{number}"} for number in range(20)]
    preview = await import_roster(identity, admin, rosters.roster(users=users), dry_run=True)
    assert (preview.truncated, preview.users.added) == (True, 20)
    assert 0 < len(preview.row_changes) < 20


PEOPLE = ("p1", "p2", "p3", "p4")
GROUPS = ("g1", "g2")


@st.composite
def any_roster(draw: st.DrawFn) -> bytes:
    """A roster that can be applied in any state: each of its classes has the teacher `t`."""
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
    pairs = draw(
        st.sets(st.tuples(st.sampled_from(sorted(people) or ["t"]), st.sampled_from(sorted(groups))))
    )
    enrollments = [
        enrollment(user, group, draw(st.sampled_from(["student", "teacher", "proctor"])))
        for user, group in sorted(pairs)
        if user != "t"
    ]
    return rosters.roster(
        draw(st.sampled_from(["bulk", "delta"])),
        users=[{"sourcedId": "t"}, *users],
        roles=[role(name, draw(st.sampled_from(["student", "teacher"]))) for name in sorted({"t", *people})],
        classes=[{"sourcedId": name, "title": draw(st.sampled_from(["A", "B"]))} for name in sorted(groups)],
        enrollments=[*(enrollment("t", group, "teacher") for group in sorted(groups)), *enrollments],
    )


async def test_a_second_import_of_the_same_roster_changes_nothing(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    loop = asyncio.get_running_loop()

    @settings(max_examples=5, deadline=None, suppress_health_check=[*HealthCheck])
    @given(any_roster())
    def import_twice(archive: bytes) -> None:
        def run(*, dry_run: bool) -> Any:
            call = import_roster(identity, admin, archive, dry_run=dry_run)
            return asyncio.run_coroutine_threadsafe(call, loop).result()

        # An earlier example may have archived a class.
        identity.execute_sql("UPDATE classes SET archived_at = NULL")
        preview = run(dry_run=True)
        assert preview.enrollments.invalid + preview.classes.invalid + preview.users.invalid == 0
        done = run(dry_run=False)
        assert (done.row_changes, done.etag) == (preview.row_changes, preview.etag)
        before = identity.execute_sql(STATE)
        assert list_changes(run(dry_run=True)) == list_changes(run(dry_run=False)) == []
        assert identity.execute_sql(STATE) == before
        memberships = "SELECT class_id, user_id, role FROM {} ORDER BY class_id, user_id"
        active = identity.execute_sql(memberships.format("class_memberships WHERE status = 'ACTIVE'"))
        assert identity.execute_sql(memberships.format("user_classes")) == active

    await asyncio.to_thread(import_twice)


STATE = """
SELECT (SELECT json_agg(u ORDER BY user_id) FROM users u)::text,
       (SELECT json_agg(i ORDER BY canonical) FROM login_identifiers i)::text,
       (SELECT json_agg(c ORDER BY class_id) FROM classes c)::text,
       (SELECT json_agg(m ORDER BY class_id, user_id) FROM class_memberships m)::text,
       (SELECT json_agg(r ORDER BY sourced_id) FROM roster_users r)::text,
       (SELECT json_agg(r ORDER BY sourced_id) FROM roster_classes r)::text
"""
"""Everything that an import can change."""
