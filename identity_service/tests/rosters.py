"""Rosters for tests: a zip of CSV files, said row by row."""

import csv
from collections.abc import Iterable, Mapping
from io import BytesIO, StringIO
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from identity_service.tests.conftest import Identity, Person
from meno.identity.v1.class_service_pb2 import ImportRosterRequest, RosterChange, RosterComparison

COLUMNS = {
    "users": "sourcedId,status,dateLastModified,enabledUser,username,givenName,familyName,email,phone,grades",
    "roles": "sourcedId,status,dateLastModified,userSourcedId,roleType,role,orgSourcedId",
    "classes": (
        "sourcedId,status,dateLastModified,title,courseSourcedId,classType,schoolSourcedId,termSourcedIds"
    ),
    "enrollments": "sourcedId,status,dateLastModified,classSourcedId,schoolSourcedId,userSourcedId,role",
}
DEFAULTS = {
    "enabledUser": "true",
    "givenName": "Ada",
    "familyName": "Lovelace",
    "roleType": "primary",
    "role": "student",
    "title": "Algebra",
    "classType": "scheduled",
}

Cells = Mapping[str, str]


def table(file: str, rows: Iterable[Cells]) -> bytes:
    """A file with these rows; what a row does not say is as common."""
    columns = COLUMNS[file].split(",")
    out = StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    writer.writerows([row.get(column, DEFAULTS.get(column, "")) for column in columns] for row in rows)
    return out.getvalue().encode()


def manifest(modes: Mapping[str, str], **properties: str) -> bytes:
    """A manifest that calls files what `modes` says."""
    said = {
        "manifest.version": "1.0",
        "oneroster.version": "1.2",
        "file.orgs": "absent",
        **{f"file.{file}": mode for file, mode in modes.items()},
        "source.systemName": "a school",
        **properties,
    }
    return "".join(
        f"{name},{value}\r\n" for name, value in {"propertyName": "value", **said}.items()
    ).encode()


def packed(files: Mapping[str, bytes]) -> bytes:
    """A zip."""
    out = BytesIO()
    with ZipFile(out, "w") as made:
        for name, content in files.items():
            # Without the time, so that the same files are the same archive.
            made.writestr(ZipInfo(name), content, ZIP_DEFLATED)
    return out.getvalue()


def roster(mode: str = "bulk", **files: Iterable[Cells]) -> bytes:
    """An archive with files of these rows, all in one mode. In a delta, rows are active unless they say so."""
    said = {"status": "active"} if mode == "delta" else {}
    tables = {f"{file}.csv": table(file, [{**said, **row} for row in rows]) for file, rows in files.items()}
    modes = {file: mode if file in files else "absent" for file in COLUMNS}
    return packed({"manifest.csv": manifest(modes), **tables})


def school(**more: Iterable[Cells]) -> bytes:
    """One class with one teacher and one student, and what is said besides."""
    return roster(
        users=[{"sourcedId": "t", "givenName": "Emmy"}, {"sourcedId": "s"}, *more.get("users", ())],
        roles=[role("t", "teacher"), *more.get("roles", ())],
        classes=[{"sourcedId": "c"}, *more.get("classes", ())],
        enrollments=[enrolled("t", "c", "teacher"), enrolled("s", "c"), *more.get("enrollments", ())],
    )


def role(user: str, name: str) -> Cells:
    """That a person is something beyond a class."""
    return {"sourcedId": f"role-{user}", "userSourcedId": user, "role": name}


def enrolled(user: str, group: str, role: str = "student", **cells: str) -> Cells:
    """That a person is in a class."""
    sourced_id = f"{user}-{group}"
    return {"sourcedId": sourced_id, "userSourcedId": user, "classSourcedId": group, "role": role, **cells}


async def send(
    identity: Identity, admin: Person, archive: bytes, *, dry_run: bool = False, etag: str = ""
) -> RosterComparison:
    """What an import answers."""
    request = ImportRosterRequest(archive=archive, dry_run=dry_run, etag=etag)
    return await identity.classes.ImportRoster(request, **admin.auth)


def told(comparison: RosterComparison) -> list[tuple[str, str, int, str]]:
    """The differences: what becomes of a row, its file, line and name."""
    return [
        (
            RosterChange.Name(one.change).removeprefix("ROSTER_CHANGE_"),
            one.file.removesuffix(".csv"),
            one.line,
            one.sourced_id,
        )
        for one in comparison.differences
    ]
