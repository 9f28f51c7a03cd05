"""The comparison of a roster with a given state of the installation."""

from collections.abc import Iterable
from typing import Any

import pytest

from identity_service.classes import rules as class_rules
from identity_service.classes.rosters import diff, parse, validation
from identity_service.classes.rosters.plan import Claim, Enrollment, NewEnrollment, Plan, RenamedUser
from identity_service.classes.rosters.types import (
    IdentifierOwnerRow,
    MemberRow,
    RosterClassRow,
    RosterUserRow,
    State,
)
from identity_service.tests import rosters
from identity_service.tests.rosters import enrollment, role

NAME = "Ada Lovelace"


def roster_user(sourced_id: str, **fields: Any) -> RosterUserRow:
    """Returns a user of an earlier roster. The id is the `sourcedId` in upper case: `T` is the id of `t`."""
    row = RosterUserRow(
        sourced_id, sourced_id.upper(), NAME, "STUDENT", active=True, has_email=False, has_phone=False
    )
    return row._replace(**fields)


def owner(canonical: str, user_id: str = "O", **fields: Any) -> IdentifierOwnerRow:
    """Returns a user who has verified an address and whom no earlier roster contained."""
    row = IdentifierOwnerRow(
        canonical,
        verified=True,
        deleted=False,
        used=True,
        rostered=False,
        user_id=user_id,
        full_name=NAME,
        role="STUDENT",
        active=True,
        has_email=True,
        has_phone=True,
    )
    return row._replace(**fields)


def roster_class(sourced_id: str, **fields: Any) -> RosterClassRow:
    row = RosterClassRow(sourced_id, sourced_id.upper(), "Algebra", archived=False, deleted=False)
    return row._replace(**fields)


def member(user: str, group: str, role: str = "STUDENT", **fields: Any) -> MemberRow:
    """Returns a member whom an earlier roster enrolled."""
    row = MemberRow(group.upper(), user.upper(), role, f"{user}-{group}", user, active=True)
    return row._replace(**fields)


def state(
    users: Iterable[RosterUserRow] = (),
    owners: Iterable[IdentifierOwnerRow] = (),
    classes: Iterable[RosterClassRow] = (),
    members: Iterable[MemberRow] = (),
    **class_counts: int,
) -> State:
    return State(
        {row.sourced_id: row for row in users},
        {row.canonical: row for row in owners},
        {row.sourced_id: row for row in classes},
        [*members],
        class_counts,
    )


SCHOOL = state(
    [roster_user("t", role="TEACHER"), roster_user("s")],
    classes=[roster_class("c")],
    members=[member("t", "c", "TEACHER"), member("s", "c")],
)
"""The state after an import of `school()`."""


def compare(archive: bytes, current: State = SCHOOL) -> Plan:
    return diff.compare(validation.validate_tables(parse.parse(archive)), current)


def list_changes(plan: Plan) -> list[tuple[str, str, int, tuple[str, ...]]]:
    """Returns the change, file, line and columns of each changed row."""
    return [(one.change, one.file.removesuffix(".csv"), one.line, one.columns) for one in plan.list_changes()]


def school(**more: Any) -> bytes:
    """Returns a roster like `rosters.school` in which all users have the same name."""
    return rosters.roster(
        users=[{"sourcedId": "t"}, {"sourcedId": "s"}, *more.get("users", ())],
        roles=[role("t", "teacher"), *more.get("roles", ())],
        classes=[{"sourcedId": "c"}, *more.get("classes", ())],
        enrollments=[enrollment("t", "c", "teacher"), enrollment("s", "c"), *more.get("enrollments", ())],
    )


def test_a_roster_equal_to_the_state_changes_nothing() -> None:
    plan = compare(school())
    assert (list_changes(plan), plan.user_ids(), plan.class_ids()) == ([], set(), set())
    assert plan.count_rows() == {("users.csv", "UNCHANGED"): 2, ("classes.csv", "UNCHANGED"): 1} | {
        ("enrollments.csv", "UNCHANGED"): 2
    }


def test_missing_users_classes_and_memberships_are_added() -> None:
    plan = compare(school(), state())
    assert {change for change, *_ in list_changes(plan)} == {"ADDED"}
    assert [(one.sourced_id, one.role) for one in plan.new_users] == [("t", "TEACHER"), ("s", "STUDENT")]
    assert plan.new_classes == [("c", "Algebra")]
    assert plan.added_enrollments == [
        NewEnrollment(Enrollment("+c", "+t"), "TEACHER", "t-c"),
        NewEnrollment(Enrollment("+c", "+s"), "STUDENT", "s-c"),
    ]


def test_changes_are_listed_invalid_rows_first_then_by_file_and_line() -> None:
    plan = compare(
        rosters.roster(
            users=[{"sourcedId": "n"}, {"sourcedId": "t", "givenName": "Emmy"}],
            enrollments=[enrollment("x", "c"), enrollment("t", "c", "teacher"), enrollment("n", "c")],
        )
    )
    assert list_changes(plan) == [
        ("INVALID", "enrollments", 2, ("userSourcedId",)),
        ("REMOVED", "users", 0, ()),
        ("ADDED", "users", 2, ()),
        ("CHANGED", "users", 3, ("givenName", "familyName")),
        ("REMOVED", "enrollments", 0, ()),
        ("ADDED", "enrollments", 4, ()),
    ]


@pytest.mark.parametrize(
    ("owners", "cells", "problem"),
    [
        (
            [owner("a@b.example", verified=False, used=False)],
            {},
            "email must be verified by the user who has it",
        ),
        ([owner("a@b.example", deleted=True)], {}, "email must not belong to a deleted account"),
        ([owner("a@b.example", rostered=True)], {}, "email must not belong to a user with another sourcedId"),
        (
            [owner("a@b.example"), owner("+441234567", "P")],
            {"phone": "+441234567"},
            "phone must belong to the same user as the e-mail address",
        ),
    ],
)
def test_an_address_without_a_clear_owner_makes_a_row_invalid(
    owners: list[IdentifierOwnerRow], cells: dict[str, str], problem: str
) -> None:
    users = [{"sourcedId": "new", "email": "A@b.example", **cells}]
    [error] = compare(rosters.roster(users=users), state(owners=owners)).list_errors()
    assert f"{error.column} {error.problem}".startswith(problem)


def test_an_existing_user_is_matched_by_a_verified_address() -> None:
    current = state(owners=[owner("a@b.example", role="UNASSIGNED", full_name="")])
    users = [{"sourcedId": "new", "email": "A@b.example"}]
    plan = compare(rosters.roster("delta", users=users, roles=[role("new", "teacher")]), current)
    assert list_changes(plan) == [("CHANGED", "users", 2, ("sourcedId", "givenName", "familyName", "role"))]
    assert (plan.new_users, plan.matched_users) == ([], [("new", "O")])
    assert plan.renamed_users == [RenamedUser("O", NAME, display_name=NAME, previous_display_name="")]
    assert plan.promoted_users == [("O", "UNASSIGNED")]


@pytest.mark.parametrize("shared", [{"email": "a@b.example"}, {"phone": "+441234567"}])
def test_two_rows_cannot_have_the_same_address(shared: dict[str, str]) -> None:
    users = [{"sourcedId": name, **shared} for name in ("one", "two")]
    for current in (state(), state(owners=[owner(*shared.values())])):
        [error] = compare(rosters.roster(users=users), current).list_errors()
        assert (error.path, error.problem) == (
            f"users.csv[3].{next(iter(shared))}",
            "must not be the same as in line 2",
        )


def test_two_rows_cannot_match_the_same_user() -> None:
    current = state(owners=[owner("a@b.example"), owner("+441234567")])
    users = [{"sourcedId": "one", "email": "a@b.example"}, {"sourcedId": "two", "phone": "+441234567"}]
    [error] = compare(rosters.roster(users=users), current).list_errors()
    assert error.path == "users.csv[3].phone"


def test_only_the_first_row_gets_a_free_login_name() -> None:
    users = [
        {"sourcedId": name, "username": login} for name, login in [("a", "Ada"), ("b", "ada"), ("c", "bob")]
    ]
    plan = compare(rosters.roster(users=users), state(owners=[owner("bob")]))
    assert [one.login_name for one in plan.new_users] == ["Ada", "", ""]
    taken = "not imported: username must not be in use already"
    assert [one.problem for one in plan.list_changes()] == ["", taken, taken]


def test_cells_that_are_not_imported_are_reported_with_the_reason() -> None:
    users = [{"sourcedId": "a", "username": "ada@school.example", "grades": "KG"}]
    [change] = compare(rosters.roster(users=users), state()).list_changes()
    assert (change.change, change.columns) == ("ADDED", ())
    assert change.problem.startswith("not imported: username ")
    assert change.problem.endswith("; grades must be one grade from 1 to 12")


def test_an_address_is_added_only_if_the_user_has_none_of_its_kind() -> None:
    current = state(
        [roster_user("a"), roster_user("b", has_email=True), roster_user("c")], [owner("c@b.example")]
    )
    users = [{"sourcedId": name, "email": f"{name}@b.example"} for name in ("a", "b", "c")]
    plan = compare(rosters.roster(users=users), current)
    assert plan.new_addresses == [("A", "EMAIL", "a@b.example")]
    assert [error.path for error in plan.list_errors()] == ["users.csv[4].email"]


def test_an_address_that_another_user_only_claims_is_assigned_to_the_user_of_the_roster() -> None:
    claims = [
        owner("a@b.example", "EVE", verified=False),
        owner("+441234567", "OLD", verified=False, deleted=True),
    ]
    users = [{"sourcedId": "a", "email": "A@b.example", "phone": "+441234567"}]
    for current in (state(owners=claims), state([roster_user("a")], claims)):
        plan = compare(rosters.roster(users=users), current)
        assert plan.released_claims == [
            Claim("EVE", "EMAIL", "a@b.example"),
            Claim("OLD", "PHONE", "+441234567"),
        ]
        assert (plan.list_errors(), {"EVE", "OLD"} - plan.user_ids()) == ([], set())
        [change] = plan.list_changes()
        assert change.problem == (
            "email is taken from user EVE, who has not verified it; "
            "phone is taken from user OLD, who has not verified it"
        )


@pytest.mark.parametrize("before", ["UNASSIGNED", "STUDENT", "TEACHER", "ADMIN"])
@pytest.mark.parametrize("roster_role", ["student", "teacher"])
def test_a_roster_promotes_to_teacher_and_never_lowers_a_role(before: str, roster_role: str) -> None:
    current = state([roster_user("s", role=before)])
    promoted = roster_role == "teacher" and before in ("UNASSIGNED", "STUDENT")
    for archive in (
        rosters.roster(users=[{"sourcedId": "s"}], roles=[role("s", roster_role)]),
        rosters.roster("delta", roles=[role("s", roster_role)]),
    ):
        assert compare(archive, current).promoted_users == ([("S", before)] if promoted else [])


def test_the_role_of_a_missing_user_is_invalid() -> None:
    for archive in (
        rosters.roster("delta", roles=[role("nobody", "teacher")]),
        rosters.roster(users=[{"sourcedId": "t"}], roles=[role("s", "teacher")]),
    ):
        assert [one.path for one in compare(archive).list_errors()] == ["roles.csv[2].userSourcedId"]


@pytest.mark.parametrize("row", [{"enabledUser": "false"}, {"status": "tobedeleted"}])
def test_a_disabled_user_loses_the_memberships_and_keeps_the_account(row: dict[str, str]) -> None:
    users = [{"sourcedId": "t"}, {"sourcedId": "s", "givenName": "New", **row}, {"sourcedId": "new", **row}]
    plan = compare(
        rosters.roster(users=users, enrollments=[enrollment("t", "c", "teacher"), enrollment("s", "c")])
    )
    assert list_changes(plan) == [("REMOVED", "users", 3, ()), ("REMOVED", "enrollments", 3, ())]
    assert plan.ended_enrollments == [(Enrollment("C", "S"), "STUDENT")]
    assert (plan.new_users, plan.renamed_users) == ([], [])


def test_a_bulk_file_removes_missing_members_except_those_joined_by_code() -> None:
    current = SCHOOL._replace(
        members=[*SCHOOL.members, member("own", "c", sourced_id=None, user_sourced_id=None)]
    )
    classes, teaches = [{"sourcedId": "c"}], enrollment("t", "c", "teacher")
    bulk = compare(rosters.roster(classes=classes, enrollments=[teaches]), current)
    assert (list_changes(bulk), bulk.ended_enrollments) == (
        [("REMOVED", "enrollments", 0, ())],
        [(Enrollment("C", "S"), "STUDENT")],
    )
    assert (
        list_changes(compare(rosters.roster("delta", classes=classes, enrollments=[teaches]), current)) == []
    )


def test_a_delta_ends_the_memberships_that_it_lists() -> None:
    gone = enrollment("s", "c", status="tobedeleted")
    plan = compare(rosters.roster("delta", enrollments=[gone]))
    assert (list_changes(plan), plan.ended_enrollments) == (
        [("REMOVED", "enrollments", 2, ())],
        [(Enrollment("C", "S"), "STUDENT")],
    )


def test_an_enrolment_can_move_to_another_class() -> None:
    current = SCHOOL._replace(
        classes={**SCHOOL.classes, "d": roster_class("d")},
        members=[*SCHOOL.members, member("t", "d", "TEACHER")],
    )
    plan = compare(
        rosters.roster("delta", enrollments=[{**enrollment("s", "d"), "sourcedId": "s-c"}]), current
    )
    assert list_changes(plan) == [("REMOVED", "enrollments", 0, ()), ("ADDED", "enrollments", 2, ())]
    assert (plan.ended_enrollments, plan.added_enrollments) == (
        [(Enrollment("C", "S"), "STUDENT")],
        [NewEnrollment(Enrollment("D", "S"), "STUDENT", "s-c")],
    )


def test_a_roster_takes_over_a_member_joined_by_code() -> None:
    current = SCHOOL._replace(members=[SCHOOL.members[0], member("s", "c", sourced_id=None)])
    plan = compare(school(), current)
    assert list_changes(plan) == [("CHANGED", "enrollments", 3, ("sourcedId",))]
    assert plan.changed_enrollments == [NewEnrollment(Enrollment("C", "S"), "STUDENT", "s-c", "STUDENT")]


def test_a_user_can_be_listed_twice_in_a_class_only_with_the_same_role() -> None:
    again = {**enrollment("s", "c"), "sourcedId": "again"}
    assert list_changes(compare(school(enrollments=[again]))) == []
    plan = compare(school(enrollments=[{**again, "role": "teacher"}]))
    assert list_changes(plan) == [("INVALID", "enrollments", 4, ("role",))]


def test_other_roles_give_no_membership() -> None:
    plan = compare(school(users=[{"sourcedId": "p"}], enrollments=[enrollment("p", "c", "proctor")]))
    assert list_changes(plan) == [("ADDED", "users", 4, ())]
    proctors = rosters.roster("delta", enrollments=[enrollment("s", "c", "proctor")])
    assert list_changes(compare(proctors)) == [("REMOVED", "enrollments", 2, ())]


@pytest.mark.parametrize(
    ("row", "column"),
    [
        (enrollment("nobody", "c"), "userSourcedId"),
        (enrollment("s", "nothing"), "classSourcedId"),
        (enrollment("s", "gone"), "classSourcedId"),
        (enrollment("s", "old"), "classSourcedId"),
    ],
)
def test_an_enrolment_must_refer_to_an_existing_user_and_an_active_class(
    row: rosters.Cells, column: str
) -> None:
    current = SCHOOL._replace(
        classes={
            **SCHOOL.classes,
            "old": roster_class("old", archived=True),
            "gone": roster_class("gone", deleted=True),
        }
    )
    plan = compare(rosters.roster("delta", enrollments=[row]), current)
    assert list_changes(plan) == [("INVALID", "enrollments", 2, (column,))]


def test_a_row_that_refers_to_an_invalid_row_is_invalid_and_ends_nothing() -> None:
    users = [{"sourcedId": "t"}, {"sourcedId": "s", "email": "nowhere"}]
    plan = compare(
        rosters.roster(users=users, enrollments=[enrollment("t", "c", "teacher"), enrollment("s", "c")])
    )
    assert [(change, file) for change, file, *_ in list_changes(plan)] == [
        ("INVALID", "users"),
        ("INVALID", "enrollments"),
    ]


def test_a_class_removed_from_the_roster_is_archived() -> None:
    users = [{"sourcedId": "t"}, {"sourcedId": "s"}]
    classes, other = [{"sourcedId": "d"}], enrollment("t", "d", "teacher")
    plan = compare(rosters.roster(users=users, classes=classes, enrollments=[other]))
    assert (plan.archived_classes, len(plan.ended_enrollments), plan.list_errors()) == (["C"], 2, [])
    assert ("REMOVED", "classes", 0, ()) in list_changes(plan)
    delta = compare(rosters.roster("delta", classes=[{"sourcedId": "c", "status": "tobedeleted"}]))
    assert (delta.archived_classes, delta.ended_enrollments) == (["C"], [])
    assert list_changes(delta) == [("REMOVED", "classes", 2, ())]


def test_an_archived_class_cannot_be_renamed_and_a_deleted_class_cannot_be_listed() -> None:
    current = state(classes=[roster_class("a", archived=True), roster_class("d", deleted=True)])
    classes = [{"sourcedId": "a"}, {"sourcedId": "d"}]
    assert list_changes(compare(rosters.roster(classes=classes), current)) == [
        ("INVALID", "classes", 3, ("sourcedId",))
    ]
    renamed = [{"sourcedId": "a", "title": "Analysis"}]
    assert list_changes(compare(rosters.roster(classes=renamed), current)) == [
        ("INVALID", "classes", 2, ("title",))
    ]
    assert (
        list_changes(compare(rosters.roster(classes=[{"sourcedId": "x", "status": "tobedeleted"}]), current))
        == []
    )


def test_a_changed_title_renames_the_class() -> None:
    plan = compare(rosters.roster("delta", classes=[{"sourcedId": "c", "title": "Analysis"}]))
    assert (list_changes(plan), plan.renamed_classes) == (
        [("CHANGED", "classes", 2, ("title",))],
        [("C", "Analysis")],
    )


def test_a_class_must_keep_an_active_teacher() -> None:
    without = rosters.roster(
        classes=[{"sourcedId": "c"}, {"sourcedId": "new"}], enrollments=[enrollment("s", "c")]
    )
    assert [error.path for error in compare(without).list_errors()] == [
        "classes.csv[2].sourcedId",
        "classes.csv[3].sourcedId",
    ]
    demoted = rosters.roster("delta", enrollments=[enrollment("t", "c", "student")])
    assert [error.path for error in compare(demoted).list_errors()] == ["classes.csv[0].sourcedId"]
    handed_over = [enrollment("t", "c", status="tobedeleted"), enrollment("s", "c", "teacher")]
    assert compare(rosters.roster("delta", enrollments=handed_over)).list_errors() == []
    deactivated = SCHOOL._replace(
        users={**SCHOOL.users, "s": roster_user("s", active=False)},
        members=[SCHOOL.members[0], member("s", "c", active=False)],
    )
    assert compare(rosters.roster("delta", enrollments=handed_over), deactivated).list_errors()


def test_a_class_without_a_teacher_before_the_import_is_not_an_error() -> None:
    current = SCHOOL._replace(members=[])
    assert compare(rosters.roster("delta", enrollments=[enrollment("s", "c")]), current).list_errors() == []


def test_an_enrolment_beyond_the_class_limit_is_invalid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_rules, "MAX_CLASSES", 2)
    current = SCHOOL._replace(class_counts={"S": 2, "T": 1})
    more: dict[str, Any] = {
        "classes": [{"sourcedId": "d"}],
        "enrollments": [enrollment("t", "d", "teacher"), enrollment("s", "d")],
    }
    assert [error.path for error in compare(school(**more), current).list_errors()] == [
        "enrollments.csv[5].userSourcedId"
    ]
    moved = rosters.roster(
        classes=[{"sourcedId": "c"}, {"sourcedId": "d"}],
        enrollments=[enrollment("t", "c", "teacher"), *more["enrollments"]],
    )
    assert compare(moved, current).list_errors() == []


def test_the_etag_depends_on_the_roster_and_on_its_changes() -> None:
    etags = {
        compare(school()).etag,
        compare(school(), state()).etag,
        compare(school(), state(owners=[owner("somebody@else.example")])).etag,
        compare(school(users=[{"sourcedId": "n"}])).etag,
    }
    assert len(etags) == 3
