"""Parsing and validation of rosters."""

import zipfile
from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import FieldInvalid
from identity_service.classes.rosters import archive, parse, validation
from identity_service.classes.rosters.records import Roster
from identity_service.classes.rosters.table import parse_table
from identity_service.tests import rosters

ALL = dict.fromkeys(rosters.COLUMNS, "bulk")
USERS_ONLY = {**dict.fromkeys(rosters.COLUMNS, "absent"), "users": "bulk"}
USERS = rosters.csv_file("users", [{"sourcedId": "s"}])


def read(data: bytes) -> Roster:
    return validation.validate_tables(parse.parse(data))


def archive_problem(data: bytes) -> str:
    with pytest.raises(FieldInvalid) as error:
        parse.parse(data)
    [violations] = error.value.details
    [violation] = violations.field_violations  # type: ignore[attr-defined]
    assert violation.field == "archive"
    return str(violation.description)


def with_users(content: bytes, **modes: str) -> bytes:
    return rosters.zip_files(
        {"manifest.csv": rosters.manifest({**USERS_ONLY, **modes}), "users.csv": content}
    )


def encrypted() -> bytes:
    """Returns a zip file with the encryption flag in each local header and in the central directory."""
    data = bytearray(rosters.school())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        offset = data.find(signature)
        while offset >= 0:
            data[offset + flags] |= 1
            offset = data.find(signature, offset + 1)
    return bytes(data)


def compressed(method: int, name: str = "users.csv", content: bytes = USERS) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", method) as opened:
        opened.writestr("manifest.csv", rosters.manifest(USERS_ONLY))
        opened.writestr(name, content)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"sourcedId,status", "must be a zip file that is not damaged"),
        (rosters.school()[:-40], "must be a zip file that is not damaged"),
        (encrypted(), "must not be encrypted: create it without a password"),
        (compressed(zipfile.ZIP_LZMA), "must be compressed with deflate, or not compressed"),
        (compressed(zipfile.ZIP_DEFLATED, "school/users.csv"), "must not contain folders: put the files"),
        (
            compressed(zipfile.ZIP_DEFLATED, "more.csv", b" " * (32 * 2**20)),
            "must be at most 32 MiB when unpacked",
        ),
        (rosters.zip_files({"users.csv": USERS}), "must contain manifest.csv"),
        (with_users(USERS, classes="bulk"), "must contain classes.csv, because manifest.csv sets it to bulk"),
        (
            with_users(USERS, users="absent"),
            "must not contain users.csv, because manifest.csv sets it to absent",
        ),
        (
            rosters.zip_files({"manifest.csv": rosters.manifest({}), "users.csv": USERS}),
            "manifest.csv must list users.csv: add file.users,bulk",
        ),
        (with_users(USERS.replace(b",", b";")), "users.csv must be separated by commas, not by semicolons"),
        (with_users(USERS, users="some"), "manifest.csv: users.csv must be absent, bulk or delta"),
        (with_users(b""), "users.csv must not be empty: its first line contains the column names"),
        (
            with_users(USERS.splitlines()[0]),
            "users.csv must have rows: leave out an empty file and set it to absent",
        ),
        (with_users(b"sourcedId,sourcedId\n"), "users.csv[1] must not contain a column twice"),
        (
            with_users(b"sourcedId,givenName\ns,Ada"),
            "users.csv[1] must have the columns enabledUser, familyName, username",
        ),
        (with_users(b"emial," + USERS), "users.csv[1] must not have the unknown column 'emial'"),
        (with_users(USERS + b"\xff"), "users.csv[3] must be UTF-8: save the file with this encoding"),
        (with_users(USERS + b'\n"open,'), "users.csv[4] must be valid CSV (RFC 4180): check its quotes"),
        (
            with_users(b"sourcedId\n" + b"s\n" * 50_001),
            "users.csv must have at most 50000 rows: import it in several parts as delta files",
        ),
        (with_users(USERS.replace(b",", b"\t")), "users.csv must be separated by commas, not by tabs"),
        (
            with_users(b"sep=,\r\n" + USERS),
            "users.csv must begin with the column names: delete the line 'sep=,'",
        ),
        (
            with_users(USERS.replace(b"\r\n", b",,\r\n")),
            "users.csv[1] must not have a column without a name: delete column 11 and all other empty columns",
        ),
    ],
)
def test_an_invalid_archive_is_refused_with_its_problem(data: bytes, problem: str) -> None:
    assert archive_problem(data).startswith(problem)


@pytest.mark.parametrize(("name", "value"), [("manifest.version", "2.0"), ("oneroster.version", "1.1")])
def test_a_roster_of_another_version_is_refused(name: str, value: str) -> None:
    files = {"manifest.csv": rosters.manifest(USERS_ONLY, **{name: value}), "users.csv": USERS}
    assert archive_problem(rosters.zip_files(files)).startswith(f"manifest.csv: {name} must be 1.")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_with_the_same_name_are_refused() -> None:
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as opened:
        for _ in range(2):
            opened.writestr("users.csv", USERS)
    assert archive_problem(out.getvalue()) == "must not contain two files with the same name"


def test_the_size_limit_holds_for_a_zip_file_with_a_false_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", len(USERS) - 1)
    monkeypatch.setattr(archive, "_check_members", lambda members: None)
    assert "MiB when unpacked" in archive_problem(with_users(USERS))


@given(st.integers(0, len(rosters.school()) - 1), st.integers(1, 255))
def test_a_damaged_archive_raises_no_error_but_field_invalid(offset: int, by: int) -> None:
    data = bytearray(rosters.school())
    data[offset] ^= by
    with suppress(FieldInvalid):
        read(bytes(data))


HEADER = b'\xef\xbb\xbf"familyName",metadata.house,sourcedId,enabledUser,username,givenName,phone\r\n'


def test_column_order_quotes_and_line_ends_do_not_matter() -> None:
    content = (
        HEADER
        + '"Ó ""Brien"", Ann",red,s,TRUE,ann, Ann ,+353123456789\n\r\n"Lee",blue,t,true,,Bo,\r\n'.encode()
    )
    users = read(with_users(content)).users
    assert [(one.line, one.name, one.login_name, one.phone) for one in users.values()] == [
        (2, 'Ann Ó "Brien", Ann', "ann", "+353123456789"),
        (4, "Bo Lee", "", ""),
    ]


def test_rows_of_empty_cells_are_not_rows() -> None:
    empty = b", ,,,,,,,,\r\n"
    found = read(with_users(empty + USERS + empty * 3))
    assert ([*found.users], found.users["s"].line, found.errors) == (["s"], 3, ())


def test_a_space_before_a_quote_is_not_part_of_the_cell() -> None:
    content = (
        b'sourcedId,enabledUser,username,givenName,familyName\n"s", "true",, "Ada, Countess", "Lovelace"\n'
    )
    [user] = read(with_users(content)).users.values()
    assert user.name == "Ada, Countess Lovelace"


def test_invisible_characters_of_copied_text_are_not_part_of_a_cell() -> None:
    row = {"sourcedId": "s\ufeff", "givenName": "A\u00adda\u200b", "familyName": "\u200bLove\u2060lace"}
    [user] = read(rosters.roster(users=[{**row, "email": "ada\u200b@b.example"}])).users.values()
    assert (user.sourced_id, user.name, user.email) == ("s", "Ada Lovelace", "ada@b.example")


def test_entries_that_operating_systems_add_to_a_zip_file_are_ignored() -> None:
    files = {"manifest.csv": rosters.manifest(USERS_ONLY), "users.csv": USERS}
    metadata = ("__MACOSX/", "__MACOSX/._users.csv", "._users.csv", ".DS_Store", "./", "extra/.DS_Store")
    found = read(rosters.zip_files(files | dict.fromkeys(metadata, b"\0")))
    assert ([*found.users], found.errors) == (["s"], ())


def test_the_line_of_a_row_is_the_line_on_which_it_begins() -> None:
    rows = parse_table("users.csv", b'sourcedId,name\r\na,"one\r\ntwo"\r\nb,three\r\n').rows
    assert [(row.line, row.cells["sourcedId"]) for row in rows] == [(2, "a"), (4, "b")]


@pytest.mark.parametrize(
    ("file", "cells", "column", "problem"),
    [
        ("users", {"sourcedId": ""}, "sourcedId", "must have 1 to 255 characters"),
        ("users", {"sourcedId": "x" * 256}, "sourcedId", "must have 1 to 255 characters"),
        ("users", {"sourcedId": "first"}, "sourcedId", "must not be the same as in line 2"),
        ("users", {"enabledUser": "yes"}, "enabledUser", "must be true or false"),
        ("users", {"status": "inactive"}, "status", "must be active or tobedeleted"),
        (
            "users",
            {"givenName": " ", "familyName": ""},
            "givenName",
            "must not be empty if familyName is empty",
        ),
        (
            "users",
            {"givenName": "A" * 200},
            "givenName",
            "and familyName form a name, which must be at most 200 characters",
        ),
        ("users", {"givenName": "A\0da"}, "givenName", "must not contain control characters"),
        ("users", {"email": "ada at home"}, "email", "must be a valid email address"),
        ("roles", {"role": "Teacher"}, "role", "must be a role of OneRoster, such as student or teacher"),
        ("roles", {"role": "teacher"}, "userSourcedId", "must not be empty"),
        ("classes", {"title": ""}, "title", "must be at least 1 characters"),
        ("classes", {"title": "T" * 201}, "title", "must be at most 200 characters"),
        ("enrollments", {"userSourcedId": "s"}, "classSourcedId", "must not be empty"),
        ("enrollments", {"classSourcedId": "c"}, "userSourcedId", "must not be empty"),
        (
            "enrollments",
            {"userSourcedId": "s", "classSourcedId": "c", "role": ""},
            "role",
            "must be a role of",
        ),
    ],
)
def test_an_invalid_row_has_an_error_with_its_problem(
    file: str, cells: Mapping[str, str], column: str, problem: str
) -> None:
    good = {"sourcedId": "first", "userSourcedId": "u", "classSourcedId": "c"}
    rows: dict[str, Any] = {file: [good, {"sourcedId": "second", **cells}]}
    found = read(rosters.roster(**rows))
    [error] = found.errors
    assert (error.path, error.problem[: len(problem)]) == (f"{file}.csv[3].{column}", problem)


def test_a_row_with_too_many_cells_is_invalid_and_the_others_are_read() -> None:
    content = USERS + b"t,,,true,t,Bo,Lee,,,,,,,,,more\r\n" + USERS.splitlines()[1].replace(b"s,", b"u,", 1)
    found = read(with_users(content))
    assert [error.path for error in found.errors] == ["users.csv[3]"]
    assert [*found.users] == ["s", "u"]


def test_every_row_of_a_delta_must_have_a_status() -> None:
    rows = [{"sourcedId": "active"}, {"sourcedId": "removed", "status": "tobedeleted", "givenName": ""}]
    found = read(rosters.roster("delta", users=[*rows, {"sourcedId": "no status", "status": ""}]))
    assert {sourced_id: one.active for sourced_id, one in found.users.items()} == {
        "active": True,
        "removed": False,
    }
    assert [error.path for error in found.errors] == ["users.csv[4].status"]
    assert found.bulk_files == frozenset()


@pytest.mark.parametrize(
    ("cells", "login_name", "phone", "grade", "ignored"),
    [
        (
            {"username": "ada.lovelace", "phone": "+442079460000", "grades": "09"},
            "ada.lovelace",
            "+442079460000",
            9,
            [],
        ),
        (
            {"username": "ada@school.example", "phone": "020 7946 0000", "grades": "KG"},
            "",
            "",
            None,
            ["username", "phone", "grades"],
        ),
        ({"username": "", "phone": "", "grades": "9,10"}, "", "", None, ["grades"]),
        ({"username": "", "grades": "12"}, "", "", 12, []),
        ({"username": "-ada", "grades": "13"}, "", "", None, ["username", "grades"]),
        ({"username": "ab"}, "", "", None, ["username"]),
    ],
)
def test_values_that_an_account_cannot_have_are_ignored_and_reported(
    cells: Mapping[str, str], login_name: str, phone: str, grade: int | None, ignored: list[str]
) -> None:
    [user] = read(rosters.roster(users=[{"sourcedId": "s", **cells}])).users.values()
    assert (user.login_name, user.phone, user.grade) == (login_name, phone, grade)
    assert [one.partition(" ")[0] for one in user.ignored] == ignored


def test_preferred_names_take_precedence() -> None:
    header = b"preferredGivenName,preferredFamilyName," + USERS.splitlines()[0] + b"\n"
    row = USERS.splitlines()[1]
    content = header + b"Augusta,," + row + b"\n,King," + row.replace(b"s,", b"t,", 1)
    found = read(with_users(content))
    assert [one.name for one in found.users.values()] == ["Augusta Lovelace", "Ada King"]


@pytest.mark.parametrize("role", ["teacher", "student", "administrator", "aide", "ext:coach"])
def test_only_teachers_and_students_have_a_class_role(role: str) -> None:
    found = read(
        rosters.roster(roles=[rosters.role("u", role)], enrollments=[rosters.enrollment("u", "c", role)])
    )
    assert (found.errors, "u" in found.teachers) == ((), role == "teacher")
    [record] = found.enrollments.values()
    assert record.role == {"teacher": "TEACHER", "student": "STUDENT"}.get(role)


def test_the_role_column_of_oneroster_1_1_is_read() -> None:
    content = USERS.splitlines()[0] + b",role\n" + USERS.splitlines()[1] + b",teacher\n"
    [user] = read(with_users(content)).users.values()
    assert user.teaches
