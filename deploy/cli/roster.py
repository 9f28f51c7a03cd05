"""`meno class import-roster`: imports the users, classes and enrolments of a school from OneRoster files."""

import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from deploy.cli import output, prompts
from deploy.cli.classes import classes
from deploy.cli.client import Client, with_client
from deploy.cli.conversions import enum_name, to_dict
from deploy.cli.options import Json, Yes
from deploy.stack.errors import CliError

if TYPE_CHECKING:
    from meno.identity.v1.resources_pb2 import RosterCounts, RosterImportResult, RosterRowChange

MAX_ARCHIVE_BYTES = 3 * 2**20
"""The limit of the contract."""

_MAX_ROWS = 40
_STYLES = {"ADDED": "green", "CHANGED": "yellow", "REMOVED": "magenta", "INVALID": "red"}


@classes.command("import-roster")
@with_client
def import_roster(
    client: Client,
    source: Annotated[
        Path,
        typer.Argument(
            metavar="ROSTER",
            help="a zip file or a directory with OneRoster 1.2 CSV files",
            show_default=False,
        ),
    ],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="show the changes without applying them")
    ] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Import a roster, after showing its changes and asking for confirmation.

    All changes are applied together. If the installation has changed since
    the changes were shown, none is applied. See docs/rosters.md for a
    complete example.

    [bold]manifest.csv[/] lists the other files, one on each line: file.users,bulk.
    It begins with the lines propertyName,value, manifest.version,1.0 and
    oneroster.version,1.2.

    [bold]users.csv[/] has the columns sourcedId, enabledUser, username, givenName,
    familyName, and email or phone to sign in with.

    [bold]classes.csv[/] has the columns sourcedId, title, courseSourcedId,
    classType, schoolSourcedId, termSourcedIds.

    [bold]enrollments.csv[/] has the columns sourcedId, classSourcedId,
    schoolSourcedId, userSourcedId, role. The role is student or teacher, and
    each class has exactly one teacher.

    Example: [bold]meno class import-roster autumn.zip --dry-run[/]
    Example: [bold]meno class import-roster autumn/[/]
    """
    from meno.identity.v1.class_service_pb2 import ImportRosterRequest

    archive = read_archive(source)
    with output.errors.status("comparing"):
        compared = client.call(
            client.classes.ImportRoster, ImportRosterRequest(archive=archive, dry_run=True)
        )
    if not json:
        _print_changes(compared)
    invalid = sum(counts.invalid for counts in _counts(compared).values())
    if dry_run or invalid or not _count_changes(compared):
        if json:
            output.print_json(to_dict(compared))
        elif invalid:
            output.print_text("[red]The roster was not applied[/] because it has invalid rows.")
        elif dry_run and _count_changes(compared):
            output.print_next_step(f"meno class import-roster {source}", "applies the changes")
        if invalid:
            raise typer.Exit(1)
        return
    prompts.confirm("Apply these changes?", yes=yes)
    with output.errors.status("applying"):
        applied = client.call(
            client.classes.ImportRoster, ImportRosterRequest(archive=archive, etag=compared.etag)
        )
    if json:
        output.print_json(to_dict(applied))
        return
    output.print_text("[green]The roster was applied.[/]")
    output.print_next_step("meno class list")


def read_archive(source: Path) -> bytes:
    """Returns a zip file, or the CSV files of a directory as a zip.

    Raises CliError if there is nothing to read or if the zip is too large.
    """
    try:
        archive = _zip_directory(source) if source.is_dir() else source.read_bytes()
    except OSError as error:
        raise CliError(f"{source} cannot be read: {error.strerror or error}") from error
    if not archive:
        raise CliError(f"{source} is empty")
    if len(archive) > MAX_ARCHIVE_BYTES:
        size = len(archive) / 2**20
        raise CliError(
            f"{source} has {size:.1f} MiB, the limit is 3 MiB: split it into several `delta` imports"
        )
    return archive


def _zip_directory(directory: Path) -> bytes:
    files = sorted(directory.glob("*.csv"))
    if not files:
        raise CliError(
            f"{directory} contains no CSV files: it must contain manifest.csv and the files that it lists"
        )
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, file.name)
    return content.getvalue()


def _print_changes(compared: "RosterImportResult") -> None:
    """Prints the number of changes of each kind, and the changed rows."""
    counts_table = output.table("", "added", "changed", "removed", "invalid", "unchanged")
    for name, counts in _counts(compared).items():
        numbers = (counts.added, counts.changed, counts.removed, counts.invalid, counts.unchanged)
        counts_table.add_row(name, *(str(number) if number else "" for number in numbers))
    output.print_table(counts_table)
    if not compared.row_changes:
        output.print_text("\nThe installation already matches the roster.")
        return
    rows = output.table("", "line", "sourcedId", "detail")
    for difference in compared.row_changes[:_MAX_ROWS]:
        change, detail = _describe(difference)
        location = f"{difference.file}:{difference.line}" if difference.line else difference.file
        rows.add_row(
            Text(change.lower(), style=_STYLES.get(change, "")),
            *map(output.cell, (location, difference.sourced_id, detail)),
        )
    output.print_text("")
    output.print_table(rows)
    left = len(compared.row_changes) - _MAX_ROWS
    if left > 0 or compared.truncated:
        output.print_text(
            "[dim]and {} more: use --json to see all[/]", f"{max(left, 0)}{'+' if compared.truncated else ''}"
        )


def _describe(difference: "RosterRowChange") -> tuple[str, str]:
    detail = ": ".join(filter(None, (", ".join(difference.columns), difference.problem)))
    return enum_name(difference, "change"), detail


def _counts(compared: "RosterImportResult") -> dict[str, "RosterCounts"]:
    return {"users": compared.users, "classes": compared.classes, "enrolments": compared.enrollments}


def _count_changes(compared: "RosterImportResult") -> int:
    return sum(one.added + one.changed + one.removed for one in _counts(compared).values())
