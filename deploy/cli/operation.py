"""`meno backup`, `restore` and `doctor`."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from deploy.cli import asking, credentials, place, screen
from deploy.cli.options import DIRECTORY, Directory, Json, Yes
from deploy.stack.errors import CliError, Interrupted
from deploy.stack.layout import Layout
from deploy.stack.state import is_running

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deploy.backups.manifest import Manifest
    from deploy.backups.restoring import Restored
    from deploy.doctor.findings import Finding


def backup(
    target: Annotated[
        Path, typer.Argument(metavar="DIR", help="a directory that is not there yet", show_default=False)
    ],
    *,
    directory: Directory = DIRECTORY,
    json: Json = False,
) -> None:
    """Back up the four databases and the uploaded files, running or not.

    Everything is checksummed in a manifest. Secrets and certificates do not
    go with it; the databases hold all that people wrote, so keep it where
    only you can read.

    Example: [bold]meno backup backups/$(date +%F)[/]
    """
    from deploy.backups import making

    began = time.monotonic()
    with screen.errors.status("beginning") as status:
        made = making.make(Layout(directory), target, lambda step: status.update(f"{step} …"))
    if json:
        screen.as_json(asdict(made))
        return
    _summary(made)
    size = sum(one.bytes for one in made.files.values()) / 2**20
    screen.say(
        "{} MiB are in [bold]{}[/] after {} s.", f"{size:.1f}", target, f"{time.monotonic() - began:.1f}"
    )
    screen.after(f"meno restore {target}", "brings it back")


def restore(
    source: Annotated[
        Path, typer.Argument(metavar="DIR", help="what `meno backup` made", show_default=False)
    ],
    *,
    erasures: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="BACKUP",
            help="a later backup: who had been erased by then is erased again",
            show_default=False,
        ),
    ] = None,
    yes: Yes = False,
    directory: Directory = DIRECTORY,
    json: Json = False,
) -> None:
    """Replace all data by those of a backup.

    Every checksum is verified first. The data from before stay until those
    of the backup are whole, and serve where they did; where anything fails,
    all is as it was. Who was erased since the backup is erased again.
    Everybody has to sign in anew.

    Example: [bold]meno restore backups/2026-03-01 --yes[/]
    """
    from deploy.backups import restoring

    layout = Layout(directory)
    try:
        with screen.errors.status("verifying") as status:
            verified = restoring.verify(source, lambda step: status.update(f"verifying {step}"))
            again = _erased_by(erasures or [])
    except KeyboardInterrupt:
        raise Interrupted("interrupted: all is as it was") from None
    if is_running(layout) and not yes:
        raise CliError("Meno is running: `meno down` stops it, or --yes does, and starts it again at the end")
    found = verified.manifest
    if not json:
        _summary(found)
    asking.confirm(f"Replace all data in {layout.directory} by those of {found.created}?", yes=yes)
    with screen.Steps() as steps:
        restored = restoring.restore(layout, verified, again, steps, screen.errors)
    _forget(layout, found)
    if json:
        screen.as_json(
            {"created": found.created, "erasedAgain": restored.erased_again, "running": bool(restored.port)}
        )
        return
    _restored(restored)


def doctor(directory: Directory = DIRECTORY, *, json: Json = False) -> None:
    """Examine the stack on this machine, and say what to do.

    It may run or not, and nothing is changed. Exits with 1 where anything
    is wrong.

    Example: [bold]meno doctor[/]
    """
    from deploy.doctor.examination import examine
    from deploy.doctor.findings import Mark

    layout, found = Layout(directory), []
    with screen.errors.status("examining") as status:
        for finding in examine(layout, _token_issued_at(layout)):
            found.append(finding)
            status.update(f"examined {finding.what}")
    is_wrong = any(finding.mark is Mark.WRONG for finding in found)
    if json:
        screen.as_json([asdict(finding) for finding in found])
    else:
        _examined(found)
        if is_wrong:
            screen.say("[red]Something is wrong[/]: do what stands below it.")
        else:
            screen.say("[green]Nothing is wrong.[/]")
            if not is_running(layout):
                screen.after("meno up", "the rest can be examined then")
    if is_wrong:
        raise typer.Exit(1)


def _token_issued_at(layout: Layout) -> float:
    """Returns when the stored access token was issued, in seconds since the epoch; 0 without a token."""
    from deploy.cli import claims

    stored = credentials.load(place.credentials_of(layout))
    try:
        return float(claims.read(stored.access_token).claims["iat"]) if stored else 0.0
    except (ValueError, KeyError, TypeError):
        return 0.0


def _summary(found: "Manifest") -> None:
    shown = screen.table("", "what", "rows", "size", "migration")
    tick = Text("✓", style="green")
    for name, dumped in sorted(found.databases.items()):
        size = screen.size(found.files[dumped.file].bytes)
        shown.add_row(tick, name, f"{sum(dumped.rows.values()):,}", size, dumped.revision)
    stored = [found.files[f"storage/{name}"].bytes for name in found.stored]
    shown.add_row(tick, "files", f"{len(stored):,}", screen.size(sum(stored)), "")
    screen.show(shown)


def _restored(restored: "Restored") -> None:
    screen.say("[green]All data are those of {} again.[/]", restored.backup.manifest.created)
    if restored.erased_again:
        again = len(restored.erased_again)
        people = "1 person who was" if again == 1 else f"{again} people who were"
        screen.say("{} erased since the backup: erased again.", people)
    screen.say("Everybody signs in anew.")
    if restored.port and restored.erased_again:
        screen.after(f"meno user erasure {restored.erased_again[0]} --wait", "after meno sign-in")
    elif restored.port:
        screen.after("meno doctor")
    else:
        screen.after("meno up")


def _erased_by(backups: "Iterable[Path]") -> set[str]:
    """Who had been erased by the time of other backups."""
    from deploy.backups import manifest

    return {
        user_id
        for backup in backups
        for user_id in (manifest.read(backup) if backup.is_dir() else manifest.read_file(backup)).erasures
    }


def _forget(layout: Layout, found: "Manifest") -> None:
    """Remembers nothing that is not so any more: the sign-in, and a chain that was longer."""
    held = place.credentials_of(layout)
    held.unlink(missing_ok=True)
    head = held.with_suffix(".audit.json")
    if int(credentials.read(head).get("sequence", 0)) > int(found.audit_head.get("sequence", 0)):
        credentials.write(head, {**found.audit_head, "restored": True})


def _examined(found: "list[Finding]") -> None:
    from deploy.doctor.findings import Mark

    marks: dict[Mark, Text] = {
        Mark.GOOD: Text("✓", style="green"),
        Mark.WRONG: Text("✗", style="bold red"),
        Mark.NOT_NOW: Text("–", style="dim"),
    }
    shown = screen.table("", "what", "", whole=("what",))
    for finding in found:
        dim = "dim" if finding.mark is Mark.NOT_NOW else ""
        detail = screen.cell(finding.detail, style=dim)
        if finding.hint and finding.mark is Mark.WRONG:
            detail += Text("\n") + screen.hint(finding.hint)
        shown.add_row(marks[finding.mark], screen.cell(finding.what, style=dim), detail)
    screen.show(shown)
