"""What a roster does to an installation, decided without one."""

from collections.abc import Iterable
from typing import Any

import pytest

from identity_service.classes import rules as class_rules
from identity_service.classes.rosters import checking, comparing, reading
from identity_service.classes.rosters.plan import Entry, Place, Plan
from identity_service.classes.rosters.state import State
from identity_service.classes.rosters.store import KnownClassRow, MemberRow, OwnerRow, PersonRow
from identity_service.tests import rosters
from identity_service.tests.rosters import enrolled, role

NAME = "Ada Lovelace"


def person(sourced_id: str, **fields: Any) -> PersonRow:
    """Somebody of an earlier roster, as the rosters of these tests name them; `T` is the id of `t`."""
    row = PersonRow(
        sourced_id, sourced_id.upper(), NAME, "STUDENT", let_in=True, has_email=False, has_phone=False
    )
    return row._replace(**fields)


def owner(canonical: str, user_id: str = "O", **fields: Any) -> OwnerRow:
    """Somebody who has proven an address, and was in no roster."""
    row = OwnerRow(
        canonical,
        proven=True,
        deleted=False,
        rostered=False,
        user_id=user_id,
        full_name=NAME,
        role="STUDENT",
        let_in=True,
        has_email=True,
        has_phone=True,
    )
    return row._replace(**fields)


def known_class(sourced_id: str, **fields: Any) -> KnownClassRow:
    row = KnownClassRow(sourced_id, sourced_id.upper(), "Algebra", archived=False, deleted=False)
    return row._replace(**fields)


def member(user: str, group: str, role: str = "STUDENT", **fields: Any) -> MemberRow:
    """Somebody whom an earlier roster enrolled."""
    row = MemberRow(group.upper(), user.upper(), role, f"{user}-{group}", user, let_in=True)
    return row._replace(**fields)


def state(
    people: Iterable[PersonRow] = (),
    owners: Iterable[OwnerRow] = (),
    classes: Iterable[KnownClassRow] = (),
    members: Iterable[MemberRow] = (),
    **held: int,
) -> State:
    return State(
        {row.sourced_id: row for row in people},
        {row.canonical: row for row in owners},
        {row.sourced_id: row for row in classes},
        [*members],
        held,
    )


SCHOOL = state(
    [person("t", role="TEACHER"), person("s")],
    classes=[known_class("c")],
    members=[member("t", "c", "TEACHER"), member("s", "c")],
)
"""What `school()` makes of nothing."""


def compared(archive: bytes, here: State = SCHOOL) -> Plan:
    return comparing.compare(checking.check(reading.read(archive)), here)


def told(plan: Plan) -> list[tuple[str, str, int, tuple[str, ...]]]:
    """What becomes of which row, and its columns."""
    return [(one.change, one.file.removesuffix(".csv"), one.line, one.columns) for one in plan.differences()]


def school(**more: Any) -> bytes:
    """The school of `rosters.school`, whose people have one name."""
    return rosters.roster(
        users=[{"sourcedId": "t"}, {"sourcedId": "s"}, *more.get("users", ())],
        roles=[role("t", "teacher"), *more.get("roles", ())],
        classes=[{"sourcedId": "c"}, *more.get("classes", ())],
        enrollments=[enrolled("t", "c", "teacher"), enrolled("s", "c"), *more.get("enrollments", ())],
    )


def test_a_roster_that_says_what_is_here_does_nothing() -> None:
    plan = compared(school())
    assert (told(plan), plan.user_ids(), plan.class_ids()) == ([], set(), set())
    assert plan.counts() == {("users.csv", "UNCHANGED"): 2, ("classes.csv", "UNCHANGED"): 1} | {
        ("enrollments.csv", "UNCHANGED"): 2
    }


def test_what_is_not_here_is_made() -> None:
    plan = compared(school(), state())
    assert {change for change, *_ in told(plan)} == {"ADDED"}
    assert [(one.sourced_id, one.role) for one in plan.newcomers] == [("t", "TEACHER"), ("s", "STUDENT")]
    assert plan.new_classes == [("c", "Algebra")]
    assert plan.entering == [
        Entry(Place("+c", "+t"), "TEACHER", "t-c"),
        Entry(Place("+c", "+s"), "STUDENT", "s-c"),
    ]


def test_differences_are_told_faulty_ones_first_and_then_by_file_and_line() -> None:
    plan = compared(
        rosters.roster(
            users=[{"sourcedId": "n"}, {"sourcedId": "t", "givenName": "Emmy"}],
            enrollments=[enrolled("x", "c"), enrolled("t", "c", "teacher"), enrolled("n", "c")],
        )
    )
    assert told(plan) == [
        ("FAULTY", "enrollments", 2, ("userSourcedId",)),
        ("LEAVING", "users", 0, ()),
        ("ADDED", "users", 2, ()),
        ("CHANGED", "users", 3, ("givenName", "familyName")),
        ("LEAVING", "enrollments", 0, ()),
        ("ADDED", "enrollments", 4, ()),
    ]


@pytest.mark.parametrize(
    ("owners", "cells", "problem"),
    [
        ([owner("a@b.example", proven=False)], {}, "email is claimed by somebody here who has not proven it"),
        ([owner("a@b.example", deleted=True)], {}, "email belongs to a deleted account"),
        ([owner("a@b.example", rostered=True)], {}, "email belongs to somebody who came by a roster"),
        (
            [owner("a@b.example"), owner("+441234567", "P")],
            {"phone": "+441234567"},
            "phone belongs to somebody else than the e-mail address does",
        ),
    ],
)
def test_an_address_that_is_not_surely_somebodys_makes_a_row_faulty(
    owners: list[OwnerRow], cells: dict[str, str], problem: str
) -> None:
    users = [{"sourcedId": "new", "email": "A@b.example", **cells}]
    [fault] = compared(rosters.roster(users=users), state(owners=owners)).faulty()
    assert f"{fault.column} {fault.problem}".startswith(problem)


def test_who_has_proven_an_address_is_recognised_by_it() -> None:
    here = state(owners=[owner("a@b.example", role="UNASSIGNED", full_name="")])
    users = [{"sourcedId": "new", "email": "A@b.example"}]
    plan = compared(rosters.roster("delta", users=users, roles=[role("new", "teacher")]), here)
    assert told(plan) == [("CHANGED", "users", 2, ("sourcedId", "givenName", "familyName", "role"))]
    assert (plan.newcomers, plan.recognised) == ([], [("new", "O")])
    assert (plan.renamed, plan.promoted) == ([("O", NAME)], [("O", "UNASSIGNED")])


@pytest.mark.parametrize("shared", [{"email": "a@b.example"}, {"phone": "+441234567"}])
def test_two_rows_cannot_have_one_address(shared: dict[str, str]) -> None:
    users = [{"sourcedId": name, **shared} for name in ("one", "two")]
    for here in (state(), state(owners=[owner(*shared.values())])):
        [fault] = compared(rosters.roster(users=users), here).faulty()
        assert (fault.place, fault.problem) == (
            f"users.csv[3].{next(iter(shared))}",
            "is that of line 2 as well",
        )


def test_two_rows_cannot_be_one_person() -> None:
    here = state(owners=[owner("a@b.example"), owner("+441234567")])
    users = [{"sourcedId": "one", "email": "a@b.example"}, {"sourcedId": "two", "phone": "+441234567"}]
    [fault] = compared(rosters.roster(users=users), here).faulty()
    assert fault.place == "users.csv[3].phone"


def test_a_login_name_is_given_to_the_first_who_is_to_have_it() -> None:
    users = [
        {"sourcedId": name, "username": login} for name, login in [("a", "Ada"), ("b", "ada"), ("c", "bob")]
    ]
    plan = compared(rosters.roster(users=users), state(owners=[owner("bob")]))
    assert [one.login_name for one in plan.newcomers] == ["Ada", "", ""]


def test_an_address_is_given_to_who_has_none_of_its_kind() -> None:
    here = state([person("a"), person("b", has_email=True), person("c")], [owner("c@b.example")])
    users = [{"sourcedId": name, "email": f"{name}@b.example"} for name in ("a", "b", "c")]
    plan = compared(rosters.roster(users=users), here)
    assert plan.addressed == [("A", "EMAIL", "a@b.example")]
    assert [fault.place for fault in plan.faulty()] == ["users.csv[4].email"]


@pytest.mark.parametrize("before", ["UNASSIGNED", "STUDENT", "TEACHER", "ADMIN"])
@pytest.mark.parametrize("said", ["student", "teacher"])
def test_a_role_is_raised_to_that_of_a_teacher_and_never_lowered(before: str, said: str) -> None:
    here = state([person("s", role=before)])
    raised = said == "teacher" and before in ("UNASSIGNED", "STUDENT")
    for archive in (
        rosters.roster(users=[{"sourcedId": "s"}], roles=[role("s", said)]),
        rosters.roster("delta", roles=[role("s", said)]),
    ):
        assert compared(archive, here).promoted == ([("S", before)] if raised else [])


def test_the_role_of_somebody_who_is_not_there_is_faulty() -> None:
    for archive in (
        rosters.roster("delta", roles=[role("nobody", "teacher")]),
        rosters.roster(users=[{"sourcedId": "t"}], roles=[role("s", "teacher")]),
    ):
        assert [one.place for one in compared(archive).faulty()] == ["roles.csv[2].userSourcedId"]


@pytest.mark.parametrize("row", [{"enabledUser": "false"}, {"status": "tobedeleted"}])
def test_who_is_shut_out_of_the_roster_leaves_its_classes_and_keeps_the_account(row: dict[str, str]) -> None:
    users = [{"sourcedId": "t"}, {"sourcedId": "s", "givenName": "New", **row}, {"sourcedId": "new", **row}]
    plan = compared(
        rosters.roster(users=users, enrollments=[enrolled("t", "c", "teacher"), enrolled("s", "c")])
    )
    assert told(plan) == [("LEAVING", "users", 3, ()), ("LEAVING", "enrollments", 3, ())]
    assert plan.ending == [(Place("C", "S"), "STUDENT")]
    assert (plan.newcomers, plan.renamed) == ([], [])


def test_who_is_not_in_a_complete_file_leaves_and_who_came_by_themselves_stays() -> None:
    here = SCHOOL._replace(
        members=[*SCHOOL.members, member("own", "c", sourced_id=None, user_sourced_id=None)]
    )
    classes, teaches = [{"sourcedId": "c"}], enrolled("t", "c", "teacher")
    bulk = compared(rosters.roster(classes=classes, enrollments=[teaches]), here)
    assert (told(bulk), bulk.ending) == (
        [("LEAVING", "enrollments", 0, ())],
        [(Place("C", "S"), "STUDENT")],
    )
    assert told(compared(rosters.roster("delta", classes=classes, enrollments=[teaches]), here)) == []


def test_a_delta_ends_what_it_names() -> None:
    gone = enrolled("s", "c", status="tobedeleted")
    plan = compared(rosters.roster("delta", enrollments=[gone]))
    assert (told(plan), plan.ending) == ([("LEAVING", "enrollments", 2, ())], [(Place("C", "S"), "STUDENT")])


def test_an_enrolment_that_names_another_class_moves_there() -> None:
    here = SCHOOL._replace(
        classes={**SCHOOL.classes, "d": known_class("d")},
        members=[*SCHOOL.members, member("t", "d", "TEACHER")],
    )
    plan = compared(rosters.roster("delta", enrollments=[{**enrolled("s", "d"), "sourcedId": "s-c"}]), here)
    assert told(plan) == [("LEAVING", "enrollments", 0, ()), ("ADDED", "enrollments", 2, ())]
    assert (plan.ending, plan.entering) == (
        [(Place("C", "S"), "STUDENT")],
        [Entry(Place("D", "S"), "STUDENT", "s-c")],
    )


def test_somebody_who_joined_by_themselves_belongs_to_the_roster_once_it_names_them() -> None:
    here = SCHOOL._replace(members=[SCHOOL.members[0], member("s", "c", sourced_id=None)])
    plan = compared(school(), here)
    assert told(plan) == [("CHANGED", "enrollments", 3, ("sourcedId",))]
    assert plan.changing == [Entry(Place("C", "S"), "STUDENT", "s-c", "STUDENT")]


def test_a_person_may_be_named_twice_in_a_class_but_not_as_two_things() -> None:
    again = {**enrolled("s", "c"), "sourcedId": "again"}
    assert told(compared(school(enrollments=[again]))) == []
    plan = compared(school(enrollments=[{**again, "role": "teacher"}]))
    assert told(plan) == [("FAULTY", "enrollments", 4, ("role",))]


def test_who_has_another_part_in_a_class_is_not_in_it() -> None:
    plan = compared(school(users=[{"sourcedId": "p"}], enrollments=[enrolled("p", "c", "proctor")]))
    assert told(plan) == [("ADDED", "users", 4, ())]
    proctors = rosters.roster("delta", enrollments=[enrolled("s", "c", "proctor")])
    assert told(compared(proctors)) == [("LEAVING", "enrollments", 2, ())]


@pytest.mark.parametrize(
    ("row", "column"),
    [
        (enrolled("nobody", "c"), "userSourcedId"),
        (enrolled("s", "nothing"), "classSourcedId"),
        (enrolled("s", "gone"), "classSourcedId"),
        (enrolled("s", "old"), "classSourcedId"),
    ],
)
def test_an_enrolment_names_what_is_there_and_in_use(row: rosters.Cells, column: str) -> None:
    here = SCHOOL._replace(
        classes={
            **SCHOOL.classes,
            "old": known_class("old", archived=True),
            "gone": known_class("gone", deleted=True),
        }
    )
    plan = compared(rosters.roster("delta", enrollments=[row]), here)
    assert told(plan) == [("FAULTY", "enrollments", 2, (column,))]


def test_what_names_a_faulty_row_is_faulty_itself_and_ends_nothing() -> None:
    users = [{"sourcedId": "t"}, {"sourcedId": "s", "email": "nowhere"}]
    plan = compared(
        rosters.roster(users=users, enrollments=[enrolled("t", "c", "teacher"), enrolled("s", "c")])
    )
    assert [(change, file) for change, file, *_ in told(plan)] == [
        ("FAULTY", "users"),
        ("FAULTY", "enrollments"),
    ]


def test_a_class_that_leaves_the_roster_is_archived() -> None:
    users = [{"sourcedId": "t"}, {"sourcedId": "s"}]
    classes, other = [{"sourcedId": "d"}], enrolled("t", "d", "teacher")
    plan = compared(rosters.roster(users=users, classes=classes, enrollments=[other]))
    assert (plan.archived, len(plan.ending), plan.faulty()) == (["C"], 2, [])
    assert ("LEAVING", "classes", 0, ()) in told(plan)
    delta = compared(rosters.roster("delta", classes=[{"sourcedId": "c", "status": "tobedeleted"}]))
    assert (delta.archived, delta.ending) == (["C"], [])
    assert told(delta) == [("LEAVING", "classes", 2, ())]


def test_a_class_that_is_archived_stays_so_and_one_that_is_deleted_is_faulty() -> None:
    here = state(classes=[known_class("a", archived=True), known_class("d", deleted=True)])
    classes = [{"sourcedId": "a"}, {"sourcedId": "d"}]
    assert told(compared(rosters.roster(classes=classes), here)) == [("FAULTY", "classes", 3, ("sourcedId",))]
    renamed = [{"sourcedId": "a", "title": "Analysis"}]
    assert told(compared(rosters.roster(classes=renamed), here)) == [("FAULTY", "classes", 2, ("title",))]
    assert told(compared(rosters.roster(classes=[{"sourcedId": "x", "status": "tobedeleted"}]), here)) == []


def test_a_title_changes() -> None:
    plan = compared(rosters.roster("delta", classes=[{"sourcedId": "c", "title": "Analysis"}]))
    assert (told(plan), plan.retitled) == ([("CHANGED", "classes", 2, ("title",))], [("C", "Analysis")])


def test_a_class_is_not_left_without_a_teacher_who_is_let_in() -> None:
    without = rosters.roster(
        classes=[{"sourcedId": "c"}, {"sourcedId": "new"}], enrollments=[enrolled("s", "c")]
    )
    assert [fault.place for fault in compared(without).faulty()] == [
        "classes.csv[2].sourcedId",
        "classes.csv[3].sourcedId",
    ]
    demoted = rosters.roster("delta", enrollments=[enrolled("t", "c", "student")])
    assert [fault.place for fault in compared(demoted).faulty()] == ["classes.csv[0].sourcedId"]
    handed_over = [enrolled("t", "c", status="tobedeleted"), enrolled("s", "c", "teacher")]
    assert compared(rosters.roster("delta", enrollments=handed_over)).faulty() == []
    shut_out = SCHOOL._replace(
        people={**SCHOOL.people, "s": person("s", let_in=False)},
        members=[SCHOOL.members[0], member("s", "c", let_in=False)],
    )
    assert compared(rosters.roster("delta", enrollments=handed_over), shut_out).faulty()


def test_a_class_that_had_no_teacher_before_is_not_the_rosters_doing() -> None:
    here = SCHOOL._replace(members=[])
    assert compared(rosters.roster("delta", enrollments=[enrolled("s", "c")]), here).faulty() == []


def test_nobody_is_enrolled_in_more_classes_than_a_token_carries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_rules, "MAX_CLASSES", 2)
    here = SCHOOL._replace(held={"S": 2, "T": 1})
    more: dict[str, Any] = {
        "classes": [{"sourcedId": "d"}],
        "enrollments": [enrolled("t", "d", "teacher"), enrolled("s", "d")],
    }
    assert [fault.place for fault in compared(school(**more), here).faulty()] == [
        "enrollments.csv[5].userSourcedId"
    ]
    moved = rosters.roster(
        classes=[{"sourcedId": "c"}, {"sourcedId": "d"}],
        enrollments=[enrolled("t", "c", "teacher"), *more["enrollments"]],
    )
    assert compared(moved, here).faulty() == []


def test_an_etag_names_the_roster_and_what_it_does_here() -> None:
    etags = {
        compared(school()).etag,
        compared(school(), state()).etag,
        compared(school(), state(owners=[owner("somebody@else.example")])).etag,
        compared(school(users=[{"sourcedId": "n"}])).etag,
    }
    assert len(etags) == 3
