"""`meno class import-roster`: a school's people, classes and enrolments from OneRoster files."""

import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from deploy.cli import asking, screen, wire
from deploy.cli.classes import classes
from deploy.cli.client import Client, connected
from deploy.cli.options import Json, Yes
from deploy.stack.errors import CliError

if TYPE_CHECKING:
    from meno.identity.v1.class_service_pb2 import RosterImportResult, RosterCounts, RosterRowChange

MOST_BYTES = 3 * 2**20
"""Of a zip, as the contract has it."""

_SHOWN = 40
_STYLES = {"ADDED": "green", "CHANGED": "yellow", "LEAVING": "magenta", "FAULTY": "red"}


@classes.command("import-roster")
@connected
def import_roster(
    client: Client,
    source: Annotated[
        Path,
        typer.Argument(
            metavar="ROSTER",
            help="a zip of OneRoster 1.2 CSV files, or a directory of them",
            show_default=False,
        ),
    ],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="compare, and change nothing")] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Import a roster: compare it, show what would change, ask, apply it whole.

    What is applied is what was shown: where the installation changed
    meanwhile, nothing is. docs/rosters.md has a whole example.

    [bold]manifest.csv[/] lists the others, a line each: file.users,bulk.
    After its first line, propertyName,value, come manifest.version,1.0 and
    oneroster.version,1.2.

    [bold]users.csv[/] has the columns sourcedId, enabledUser, username, givenName,
    familyName, and email or phone for people to come in with.

    [bold]classes.csv[/] has sourcedId, title, courseSourcedId, classType,
    schoolSourcedId, termSourcedIds.

    [bold]enrollments.csv[/] has sourcedId, classSourcedId, schoolSourcedId,
    userSourcedId, role: student, or teacher, of whom each class has one.

    Example: [bold]meno class import-roster autumn.zip --dry-run[/]
    Example: [bold]meno class import-roster autumn/[/]
    """
    from meno.identity.v1.class_service_pb2 import ImportRosterRequest

    archive = packed(source)
    with screen.errors.status("comparing"):
        compared = client.call(
            client.classes.ImportRoster, ImportRosterRequest(archive=archive, dry_run=True)
        )
    if not json:
        _compared(compared)
    faulty = sum(counts.faulty for counts in _counts(compared).values())
    if dry_run or faulty or not _changes(compared):
        if json:
            screen.as_json(wire.as_dict(compared))
        elif faulty:
            screen.say("[red]Nothing can be applied[/] while rows are faulty.")
        elif dry_run and _changes(compared):
            screen.after(f"meno class import-roster {source}", "applies it")
        if faulty:
            raise typer.Exit(1)
        return
    asking.confirm("Apply it?", yes=yes)
    with screen.errors.status("applying"):
        applied = client.call(
            client.classes.ImportRoster, ImportRosterRequest(archive=archive, etag=compared.etag)
        )
    if json:
        screen.as_json(wire.as_dict(applied))
        return
    screen.say("[green]The roster is applied.[/]")
    screen.after("meno class list")


def packed(source: Path) -> bytes:
    """The zip itself, or one made of a directory's CSV files. Raises CliError."""
    try:
        archive = _zipped(source) if source.is_dir() else source.read_bytes()
    except OSError as error:
        raise CliError(f"{source} cannot be read: {error.strerror or error}") from error
    if not archive:
        raise CliError(f"{source} is empty")
    if len(archive) > MOST_BYTES:
        size = len(archive) / 2**20
        raise CliError(
            f"{source} has {size:.1f} MiB, 3 MiB are the most: import it in parts, as `delta` files"
        )
    return archive


def _zipped(directory: Path) -> bytes:
    files = sorted(directory.glob("*.csv"))
    if not files:
        raise CliError(f"{directory} holds no CSV files: manifest.csv and those that it names")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, file.name)
    return content.getvalue()


def _compared(compared: "RosterImportResult") -> None:
    """What would change: how many of each kind, and which rows."""
    counted = screen.table("", "new", "changed", "leaving", "faulty", "as they are")
    for name, counts in _counts(compared).items():
        numbers = (counts.added, counts.changed, counts.leaving, counts.faulty, counts.unchanged)
        counted.add_row(name, *(str(number) if number else "" for number in numbers))
    screen.show(counted)
    if not compared.differences:
        screen.say("\nThe installation is as the roster has it.")
        return
    rows = screen.table("", "where", "sourcedId", "what")
    for difference in compared.differences[:_SHOWN]:
        change, what = _told(difference)
        where = f"{difference.file}:{difference.line}" if difference.line else difference.file
        rows.add_row(
            Text(change.lower(), style=_STYLES.get(change, "")),
            *map(screen.cell, (where, difference.sourced_id, what)),
        )
    screen.say("")
    screen.show(rows)
    left = len(compared.differences) - _SHOWN
    if left > 0 or compared.truncated:
        screen.say(
            "[dim]and {} more: --json tells all[/]", f"{max(left, 0)}{'+' if compared.truncated else ''}"
        )


def _told(difference: "RosterRowChange") -> tuple[str, str]:
    from meno.identity.v1.class_service_pb2 import RosterChangeType

    change = RosterChangeType.Name(difference.change).removeprefix("ROSTER_CHANGE_")
    columns = ", ".join(difference.columns)
    return (
        change,
        f"{columns}: {difference.problem}"
        if difference.problem and columns
        else difference.problem or columns,
    )


def _counts(compared: "RosterImportResult") -> dict[str, "RosterCounts"]:
    return {"people": compared.users, "classes": compared.classes, "enrolments": compared.enrollments}


def _changes(compared: "RosterImportResult") -> int:
    return sum(one.added + one.changed + one.leaving for one in _counts(compared).values())
