"""A roster's archive and its files, before anything is compared."""

import zipfile
from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import FieldInvalid
from identity_service.classes.rosters import archive, checking, reading, table
from identity_service.classes.rosters.records import Roster
from identity_service.tests import rosters

ALL = dict.fromkeys(rosters.COLUMNS, "bulk")
USERS_ONLY = {**dict.fromkeys(rosters.COLUMNS, "absent"), "users": "bulk"}
USERS = rosters.table("users", [{"sourcedId": "s"}])


def checked(data: bytes) -> Roster:
    return checking.check(reading.read(data))


def refusal(data: bytes) -> str:
    with pytest.raises(FieldInvalid) as refused:
        reading.read(data)
    [violations] = refused.value.details
    [violation] = violations.field_violations  # type: ignore[attr-defined]
    assert violation.field == "archive"
    return str(violation.description)


def with_users(content: bytes, **modes: str) -> bytes:
    return rosters.packed({"manifest.csv": rosters.manifest({**USERS_ONLY, **modes}), "users.csv": content})


def encrypted() -> bytes:
    """A zip that says that its files are encrypted: in the header of each, and in the list of all."""
    data = bytearray(rosters.school())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.find(signature)
        while place >= 0:
            data[place + flags] |= 1
            place = data.find(signature, place + 1)
    return bytes(data)


def compressed(method: int, name: str = "users.csv", content: bytes = USERS) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", method) as made:
        made.writestr("manifest.csv", rosters.manifest(USERS_ONLY))
        made.writestr(name, content)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"sourcedId,status", "is no zip, or a damaged one"),
        (rosters.school()[:-40], "is no zip, or a damaged one"),
        (encrypted(), "is encrypted: send it without a password"),
        (compressed(zipfile.ZIP_LZMA), "is compressed in a way that is not common: use deflate"),
        (compressed(zipfile.ZIP_DEFLATED, "school/users.csv"), "holds a folder: put the files at the top of"),
        (
            compressed(zipfile.ZIP_DEFLATED, "more.csv", b" " * (32 * 2**20)),
            "is larger than 32 MiB when it is",
        ),
        (rosters.packed({"users.csv": USERS}), "holds no manifest.csv"),
        (with_users(USERS, classes="bulk"), "holds no classes.csv, which manifest.csv calls bulk"),
        (with_users(USERS, users="absent"), "holds users.csv, which manifest.csv calls absent"),
        (
            rosters.packed({"manifest.csv": rosters.manifest({}), "users.csv": USERS}),
            "holds users.csv, which manifest.csv does not list: add file.users,bulk",
        ),
        (with_users(USERS.replace(b",", b";")), "users.csv is separated by semicolons: save it with commas"),
        (with_users(USERS, users="some"), "manifest.csv: users.csv must be absent, bulk or delta"),
        (with_users(b""), "users.csv is empty: the first line names the columns"),
        (with_users(USERS.splitlines()[0]), "users.csv has no rows: leave it out, and call it absent in the"),
        (with_users(b"sourcedId,sourcedId\n"), "users.csv[1] names a column twice"),
        (
            with_users(b"sourcedId,givenName\ns,Ada"),
            "users.csv[1] lacks the columns enabledUser, familyName, username",
        ),
        (with_users(b"emial," + USERS), "users.csv[1] has an unknown column, 'emial'"),
        (with_users(USERS + b"\xff"), "users.csv[3] is not UTF-8: save it in this encoding"),
        (with_users(USERS + b'\n"open,'), "users.csv[4] is no CSV as RFC 4180 has it: look at its quotes"),
        (
            with_users(b"sourcedId\n" + b"s\n" * 50_001),
            "users.csv has more than 50000 rows: send it in parts",
        ),
    ],
)
def test_what_is_no_roster_is_refused_with_the_reason(data: bytes, problem: str) -> None:
    assert refusal(data).startswith(problem)


@pytest.mark.parametrize(("name", "value"), [("manifest.version", "2.0"), ("oneroster.version", "1.1")])
def test_a_roster_of_another_version_is_refused(name: str, value: str) -> None:
    files = {"manifest.csv": rosters.manifest(USERS_ONLY, **{name: value}), "users.csv": USERS}
    assert refusal(rosters.packed(files)).startswith(f"manifest.csv: {name} must be 1.")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_are_refused() -> None:
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for _ in range(2):
            made.writestr("users.csv", USERS)
    assert refusal(out.getvalue()) == "holds two files of one name"


def test_a_zip_that_lies_about_its_size_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_UNPACKED", len(USERS) - 1)
    monkeypatch.setattr(archive, "_check", lambda members: None)
    assert "MiB when it is unpacked" in refusal(with_users(USERS))


@given(st.integers(0, len(rosters.school()) - 1), st.integers(1, 255))
def test_a_damaged_archive_is_refused_and_never_a_fault_of_ours(place: int, by: int) -> None:
    data = bytearray(rosters.school())
    data[place] ^= by
    with suppress(FieldInvalid):
        checked(bytes(data))


HEADER = b'\xef\xbb\xbf"familyName",metadata.house,sourcedId,enabledUser,username,givenName,phone\r\n'


def test_a_file_is_read_whatever_its_order_of_columns_quotes_and_line_ends() -> None:
    content = (
        HEADER
        + '"Ó ""Brien"", Ann",red,s,TRUE,ann, Ann ,+353123456789\n\r\n"Lee",blue,t,true,,Bo,\r\n'.encode()
    )
    users = checked(with_users(content)).users
    assert [(one.line, one.name, one.login_name, one.phone) for one in users.values()] == [
        (2, 'Ann Ó "Brien", Ann', "ann", "+353123456789"),
        (4, "Bo Lee", "", ""),
    ]


def test_a_row_is_found_by_the_line_on_which_it_begins() -> None:
    rows = table.parse("users.csv", b'sourcedId,name\r\na,"one\r\ntwo"\r\nb,three\r\n').rows
    assert [(row.line, row.cells["sourcedId"]) for row in rows] == [(2, "a"), (4, "b")]


@pytest.mark.parametrize(
    ("file", "cells", "column", "problem"),
    [
        ("users", {"sourcedId": ""}, "sourcedId", "must have 1 to 255 characters"),
        ("users", {"sourcedId": "x" * 256}, "sourcedId", "must have 1 to 255 characters"),
        ("users", {"sourcedId": "first"}, "sourcedId", "is that of line 2 as well"),
        ("users", {"enabledUser": "yes"}, "enabledUser", "must be true or false"),
        ("users", {"status": "inactive"}, "status", "must be active or tobedeleted"),
        ("users", {"givenName": " ", "familyName": ""}, "givenName", "is empty, and so is the family name"),
        ("users", {"givenName": "A" * 64}, "givenName", "makes a name that must be at most 64 characters"),
        ("users", {"givenName": "A\0da"}, "givenName", "holds a control character"),
        ("users", {"email": "ada at home"}, "email", "must be a valid email address"),
        ("roles", {"role": "Teacher"}, "role", "must be a role of OneRoster, such as student or teacher"),
        ("roles", {"role": "teacher"}, "userSourcedId", "is empty"),
        ("classes", {"title": ""}, "title", "must be at least 1 characters"),
        ("classes", {"title": "T" * 201}, "title", "must be at most 200 characters"),
        ("enrollments", {"userSourcedId": "s"}, "classSourcedId", "is empty"),
        ("enrollments", {"classSourcedId": "c"}, "userSourcedId", "is empty"),
        (
            "enrollments",
            {"userSourcedId": "s", "classSourcedId": "c", "role": ""},
            "role",
            "must be a role of",
        ),
    ],
)
def test_a_row_that_cannot_be_understood_says_why(
    file: str, cells: Mapping[str, str], column: str, problem: str
) -> None:
    good = {"sourcedId": "first", "userSourcedId": "u", "classSourcedId": "c"}
    rows: dict[str, Any] = {file: [good, {"sourcedId": "second", **cells}]}
    found = checked(rosters.roster(**rows))
    [fault] = found.faults
    assert (fault.place, fault.problem[: len(problem)]) == (f"{file}.csv[3].{column}", problem)


def test_a_row_with_a_cell_too_many_is_faulty_and_the_others_are_read() -> None:
    content = USERS + b"t,,,true,t,Bo,Lee,,,,,,,,,more\r\n" + USERS.splitlines()[1].replace(b"s,", b"u,", 1)
    found = checked(with_users(content))
    assert [fault.place for fault in found.faults] == ["users.csv[3]"]
    assert [*found.users] == ["s", "u"]


def test_a_delta_says_of_each_row_what_becomes_of_it() -> None:
    rows = [{"sourcedId": "stays"}, {"sourcedId": "goes", "status": "tobedeleted", "givenName": ""}]
    found = checked(rosters.roster("delta", users=[*rows, {"sourcedId": "says nothing", "status": ""}]))
    assert {sourced_id: one.stays for sourced_id, one in found.users.items()} == {
        "stays": True,
        "goes": False,
    }
    assert [fault.place for fault in found.faults] == ["users.csv[4].status"]
    assert found.complete == frozenset()


@pytest.mark.parametrize(
    ("cells", "login_name", "phone", "grade"),
    [
        (
            {"username": "ada.lovelace", "phone": "+442079460000", "grades": "09"},
            "ada.lovelace",
            "+442079460000",
            9,
        ),
        ({"username": "ada@school.example", "phone": "020 7946 0000", "grades": "KG"}, "", "", None),
        ({"username": "", "phone": "", "grades": "9,10"}, "", "", None),
        ({"username": "", "grades": "12"}, "", "", 12),
        ({"username": "-ada", "grades": "13"}, "", "", None),
    ],
)
def test_what_does_not_fit_an_account_is_left_out_of_it(
    cells: Mapping[str, str], login_name: str, phone: str, grade: int | None
) -> None:
    [user] = checked(rosters.roster(users=[{"sourcedId": "s", **cells}])).users.values()
    assert (user.login_name, user.phone, user.grade) == (login_name, phone, grade)


def test_people_are_called_by_the_names_that_they_prefer() -> None:
    header = b"preferredGivenName,preferredFamilyName," + USERS.splitlines()[0] + b"\n"
    row = USERS.splitlines()[1]
    content = header + b"Augusta,," + row + b"\n,King," + row.replace(b"s,", b"t,", 1)
    found = checked(with_users(content))
    assert [one.name for one in found.users.values()] == ["Augusta Lovelace", "Ada King"]


@pytest.mark.parametrize("role", ["teacher", "student", "administrator", "aide", "ext:coach"])
def test_of_roles_that_of_a_teacher_alone_has_a_meaning(role: str) -> None:
    found = checked(
        rosters.roster(roles=[rosters.role("u", role)], enrollments=[rosters.enrolled("u", "c", role)])
    )
    assert (found.faults, "u" in found.teachers) == ((), role == "teacher")
    [enrolled] = found.enrollments.values()
    assert enrolled.role == {"teacher": "TEACHER", "student": "STUDENT"}.get(role)


def test_a_role_among_the_users_is_read_as_the_version_before_had_it() -> None:
    content = USERS.splitlines()[0] + b",role\n" + USERS.splitlines()[1] + b",teacher\n"
    [user] = checked(with_users(content)).users.values()
    assert user.teaches


def test_a_login_name_that_is_too_short_is_told_as_at_sign_up() -> None:
    [fault] = checked(rosters.roster(users=[{"sourcedId": "s", "username": "ab"}])).faults
    assert (fault.place, "3 characters" in fault.problem) == ("users.csv[2].username", True)
