"""Builds the zip files of rosters for tests."""

import csv
from collections.abc import Iterable, Mapping
from io import BytesIO, StringIO
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from identity_service.tests.conftest import Identity, Person
from meno.identity.v1.class_service_pb2 import ImportRosterRequest
from meno.identity.v1.resources_pb2 import RosterChangeType, RosterImportResult

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


def csv_file(file: str, rows: Iterable[Cells]) -> bytes:
    """Returns a CSV file with these rows. Missing cells have the values of DEFAULTS."""
    columns = COLUMNS[file].split(",")
    out = StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    writer.writerows([row.get(column, DEFAULTS.get(column, "")) for column in columns] for row in rows)
    return out.getvalue().encode()


def manifest(modes: Mapping[str, str], **properties: str) -> bytes:
    """Returns a manifest with these modes and additional properties."""
    lines = {
        "manifest.version": "1.0",
        "oneroster.version": "1.2",
        "file.orgs": "absent",
        **{f"file.{file}": mode for file, mode in modes.items()},
        "source.systemName": "a school",
        **properties,
    }
    return "".join(
        f"{name},{value}\r\n" for name, value in {"propertyName": "value", **lines}.items()
    ).encode()


def zip_files(files: Mapping[str, bytes]) -> bytes:
    """Returns a zip file."""
    out = BytesIO()
    with ZipFile(out, "w") as archive:
        for name, content in files.items():
            # ZipInfo has a constant time, so that equal files give an equal archive.
            archive.writestr(ZipInfo(name), content, ZIP_DEFLATED)
    return out.getvalue()


def roster(mode: str = "bulk", **files: Iterable[Cells]) -> bytes:
    """Returns an archive with these rows, with all files in one mode. Rows of a delta are active by default."""
    defaults = {"status": "active"} if mode == "delta" else {}
    tables = {
        f"{file}.csv": csv_file(file, [{**defaults, **row} for row in rows]) for file, rows in files.items()
    }
    modes = {file: mode if file in files else "absent" for file in COLUMNS}
    return zip_files({"manifest.csv": manifest(modes), **tables})


def school(**more: Iterable[Cells]) -> bytes:
    """Returns a roster with one class, one teacher, one student, and more rows."""
    return roster(
        users=[{"sourcedId": "t", "givenName": "Emmy"}, {"sourcedId": "s"}, *more.get("users", ())],
        roles=[role("t", "teacher"), *more.get("roles", ())],
        classes=[{"sourcedId": "c"}, *more.get("classes", ())],
        enrollments=[enrollment("t", "c", "teacher"), enrollment("s", "c"), *more.get("enrollments", ())],
    )


def role(user: str, name: str) -> Cells:
    """Returns a row of `roles.csv`."""
    return {"sourcedId": f"role-{user}", "userSourcedId": user, "role": name}


def enrollment(user: str, group: str, role: str = "student", **cells: str) -> Cells:
    """Returns a row of `enrollments.csv`."""
    sourced_id = f"{user}-{group}"
    return {"sourcedId": sourced_id, "userSourcedId": user, "classSourcedId": group, "role": role, **cells}


async def import_roster(
    identity: Identity, admin: Person, archive: bytes, *, dry_run: bool = False, etag: str = ""
) -> RosterImportResult:
    """Imports a roster and returns the result."""
    request = ImportRosterRequest(archive=archive, dry_run=dry_run, etag=etag)
    return await identity.classes.ImportRoster(request, **admin.auth)


def list_changes(result: RosterImportResult) -> list[tuple[str, str, int, str]]:
    """Returns the change, file, line and `sourcedId` of each changed row."""
    return [
        (
            RosterChangeType.Name(one.change).removeprefix("ROSTER_CHANGE_TYPE_"),
            one.file.removesuffix(".csv"),
            one.line,
            one.sourced_id,
        )
        for one in result.row_changes
    ]
