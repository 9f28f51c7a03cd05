"""`meno backup`, `restore` and `doctor`."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from deploy.cli import credentials, output, prompts
from deploy.cli.options import DIRECTORY, Directory, Json, Yes
from deploy.cli.target import credentials_file
from deploy.stack.errors import CliError, Interrupted
from deploy.stack.layout import Layout
from deploy.stack.state import is_running

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deploy.backups.manifest import Manifest
    from deploy.backups.restore import Restored
    from deploy.doctor.findings import Finding


def backup(
    target: Annotated[
        Path, typer.Argument(metavar="DIR", help="a directory that does not exist yet", show_default=False)
    ],
    *,
    directory: Directory = DIRECTORY,
    json: Json = False,
) -> None:
    """Back up the four databases and the uploaded files.

    The stack may be running. A manifest contains the checksum of every
    file. Secrets and certificates are not included. The databases contain
    everything that users wrote, so store the backup where only you can
    read it.

    Example: [bold]meno backup backups/$(date +%F)[/]
    """
    from deploy.backups import create

    began = time.monotonic()
    with output.errors.status("starting") as status:
        made = create.create_backup(Layout(directory), target, lambda step: status.update(f"{step} …"))
    if json:
        output.print_json(asdict(made))
        return
    _print_summary(made)
    size = sum(one.bytes for one in made.files.values()) / 2**20
    output.print_text(
        "Backed up {} MiB to [bold]{}[/] in {} s.", f"{size:.1f}", target, f"{time.monotonic() - began:.1f}"
    )
    output.print_next_step(f"meno restore {target}", "restores it")


def restore(
    source: Annotated[
        Path, typer.Argument(metavar="DIR", help="a backup that `meno backup` made", show_default=False)
    ],
    *,
    erasures: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="BACKUP",
            help="a later backup: users that had been erased by then are erased again",
            show_default=False,
        ),
    ] = None,
    yes: Yes = False,
    directory: Directory = DIRECTORY,
    json: Json = False,
) -> None:
    """Replace all data with those of a backup.

    Every checksum is verified first. The current data are kept until the
    restored data are complete and the stack runs with them. If anything
    fails, the current data stay in use. Users that were erased since the
    backup are erased again. All users have to sign in again.

    Example: [bold]meno restore backups/2026-03-01 --yes[/]
    """
    from deploy.backups import restore as restoring

    layout = Layout(directory)
    try:
        with output.errors.status("verifying") as status:
            verified = restoring.verify(source, lambda step: status.update(f"verifying {step}"))
            again = _erased_user_ids(erasures or [])
    except KeyboardInterrupt:
        raise Interrupted("interrupted: nothing was changed") from None
    if is_running(layout) and not yes:
        raise CliError(
            "Meno is running: stop it with `meno down`, or give --yes to stop it and start it again at the end"
        )
    found = verified.manifest
    if not json:
        _print_summary(found)
    prompts.confirm(f"Replace all data in {layout.directory} with the backup of {found.created}?", yes=yes)
    with output.Steps() as steps:
        restored = restoring.restore(layout, verified, again, steps, output.errors)
    _reset_local_files(layout, found)
    if json:
        output.print_json(
            {"created": found.created, "erasedAgain": restored.erased_again, "running": bool(restored.port)}
        )
        return
    _print_restored(restored)


def doctor(directory: Directory = DIRECTORY, *, json: Json = False) -> None:
    """Check the stack on this machine, and show how to fix each problem.

    The stack may be stopped. Nothing is changed. The exit status is 1 if a
    problem is found.

    Example: [bold]meno doctor[/]
    """
    from deploy.doctor.checks import run_checks
    from deploy.doctor.findings import Status

    layout, found = Layout(directory), []
    with output.errors.status("checking") as status:
        for finding in run_checks(layout, _token_issued_at(layout)):
            found.append(finding)
            status.update(f"checked {finding.name}")
    has_problems = any(finding.status is Status.PROBLEM for finding in found)
    if json:
        output.print_json([asdict(finding) for finding in found])
    else:
        _print_findings(found)
        if has_problems:
            output.print_text("[red]Problems found[/]: follow the hint below each one.")
        else:
            output.print_text("[green]No problems found.[/]")
            if not is_running(layout):
                output.print_next_step("meno up", "starts the stack, so that the remaining checks can run")
    if has_problems:
        raise typer.Exit(1)


def _token_issued_at(layout: Layout) -> float:
    """Returns when the stored access token was issued, in seconds since the epoch; 0 without a token."""
    from deploy.cli import claims

    stored = credentials.load(credentials_file(layout))
    try:
        return float(claims.decode(stored.access_token).claims["iat"]) if stored else 0.0
    except (ValueError, KeyError, TypeError):
        return 0.0


def _print_summary(found: "Manifest") -> None:
    rows = output.table("", "data", "rows", "size", "migration")
    tick = Text("✓", style="green")
    for name, dumped in sorted(found.databases.items()):
        size = output.format_size(found.files[dumped.file].bytes)
        rows.add_row(tick, name, f"{sum(dumped.rows.values()):,}", size, dumped.revision)
    stored = [found.files[f"storage/{name}"].bytes for name in found.stored_files]
    rows.add_row(tick, "files", f"{len(stored):,}", output.format_size(sum(stored)), "")
    output.print_table(rows)


def _print_restored(restored: "Restored") -> None:
    output.print_text("[green]Restored the backup of {}.[/]", restored.backup.manifest.created)
    if restored.erased_again:
        again = len(restored.erased_again)
        users = "1 user was" if again == 1 else f"{again} users were"
        output.print_text("{} erased since the backup, and erased again now.", users)
    output.print_text("All users have to sign in again.")
    if restored.port and restored.erased_again:
        output.print_next_step(
            f"meno user erasure {restored.erased_again[0]} --wait", "shows the erasure, after meno sign-in"
        )
    elif restored.port:
        output.print_next_step("meno doctor")
    else:
        output.print_next_step("meno up")


def _erased_user_ids(backups: "Iterable[Path]") -> set[str]:
    """Returns the ids of the users that had been erased when other backups were made."""
    from deploy.backups import manifest

    return {
        user_id
        for backup in backups
        for user_id in (manifest.read(backup) if backup.is_dir() else manifest.read_file(backup)).erasures
    }


def _reset_local_files(layout: Layout, found: "Manifest") -> None:
    """Deletes the stored sign-in, and resets the last audit entry seen if the restored chain is shorter.

    The restore ended all sign-ins. Without the reset, `audit verify` would report the shorter chain.
    """
    file = credentials_file(layout)
    file.unlink(missing_ok=True)
    head = file.with_suffix(".audit.json")
    if int(credentials.read(head).get("sequence", 0)) > int(found.audit_head.get("sequence", 0)):
        credentials.write(head, {**found.audit_head, "restored": True})


def _print_findings(found: "list[Finding]") -> None:
    from deploy.doctor.findings import Status

    marks: dict[Status, Text] = {
        Status.OK: Text("✓", style="green"),
        Status.PROBLEM: Text("✗", style="bold red"),
        Status.SKIPPED: Text("–", style="dim"),
    }
    rows = output.table("", "check", "", no_wrap=("check",))
    for finding in found:
        dim = "dim" if finding.status is Status.SKIPPED else ""
        detail = output.cell(finding.detail, style=dim)
        if finding.hint and finding.status is Status.PROBLEM:
            detail += Text("\n") + output.format_hint(finding.hint)
        rows.add_row(marks[finding.status], output.cell(finding.name, style=dim), detail)
    output.print_table(rows)
