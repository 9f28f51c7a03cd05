"""Restores a backup. The current data are kept until the stack runs with the restored data."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import psycopg
from rich.console import Console

from deploy.backups import databases, manifest
from deploy.backups.manifest import Manifest
from deploy.stack import control, standalone
from deploy.stack.errors import CliError, Interrupted
from deploy.stack.layout import ROOT, Layout
from deploy.stack.postgres import Access, Postgres
from deploy.stack.stack import Stack
from deploy.stack.state import is_running, load

Progress = Callable[[str], None]

_IDENTITY = "identity"


class Backup(NamedTuple):
    """A verified backup."""

    directory: Path
    manifest: Manifest


@dataclass
class Restored:
    """The result of a restore, also of one in progress."""

    backup: Backup
    erased_again: list[str] = field(default_factory=list)
    """Ids of the users that were erased after the backup, and are erased again."""
    obsolete_files: set[str] = field(default_factory=set)
    """Files that are not in the backup, to be deleted at the end."""
    swapped: bool = False
    """Whether the restored databases have replaced the current ones."""
    port: int = 0
    """Port of the gateway, if the stack was running."""


def verify(source: Path, progress: Progress) -> Backup:
    """Returns the backup in a directory after verifying it.

    Raises CliError if a file was changed, the backup is incomplete, or this version of Meno lacks its
    migrations.
    """
    found = manifest.read(source)
    manifest.verify_files(source, found, progress)
    for access in _accesses():
        if access.database not in found.databases:
            raise CliError(
                f"{source} does not contain the database {access.database}: the backup is incomplete"
            )
        dumped = found.databases[access.database]
        known, _ = databases.known_revisions(access.server)
        if dumped.file not in found.files or dumped.revision not in known:
            raise CliError(
                f"{source} was made by Meno {found.meno} with migration {dumped.revision} of {access.database}, "
                "which this version does not have: restore it with the version that made it"
            )
    return Backup(source, found)


def restore(
    layout: Layout, backup: Backup, erasures: Iterable[str], progress: Progress, console: Console
) -> Restored:
    """Replaces all data of a stack by a verified backup. `erasures` are ids of users to erase again.

    A running stack is stopped, and started again at the end. Until it runs, the current data are kept:
    if anything fails, they stay in use. Raises CliError on a failure, Interrupted on an interrupt.
    """
    restored = Restored(backup)
    try:
        _restore(layout, restored, erasures, progress, console)
    except KeyboardInterrupt:
        if restored.swapped:
            message = "interrupted after the backup had replaced the current data: see `meno status`"
            raise Interrupted(message) from None
        raise Interrupted("interrupted: nothing was changed") from None
    return restored


def _restore(
    layout: Layout, restored: Restored, erasures: Iterable[str], progress: Progress, console: Console
) -> None:
    state = load(layout) if is_running(layout) else None
    if state is None:
        _replace(layout, restored, erasures, progress)
        _finish(layout, restored)
        return
    running = Layout(layout.directory, state.port or layout.port, tuple(state.allowed_origins))
    with ExitStack() as undo:
        undo.callback(control.up, running, Console(quiet=True))
        progress("stopping the stack")
        control.down(running)
        _replace(running, restored, erasures, progress)
        undo.pop_all()
    # control.up shows its own steps.
    progress("")
    try:
        restored.port = control.up(running, console)[0].port
    except BaseException as error:
        progress("returning to the previous data")
        control.down(running)
        _swap_back(running)
        control.up(running, Console(quiet=True))
        reason = str(error) or "interrupted"
        raise CliError(
            f"the stack did not start with the restored data, so the previous data are back: {reason}"
        ) from error
    _finish(running, restored)


def _list_erasures(postgres: Postgres) -> list[str]:
    if _IDENTITY not in databases.list_databases(postgres):
        return []
    with psycopg.connect(postgres.url(_IDENTITY, f"{_IDENTITY}_owner")) as connection:
        return databases.list_erasures(connection)


def _replace(layout: Layout, restored: Restored, erasures: Iterable[str], progress: Progress) -> None:
    """Loads the backup into new databases, and swaps all of them with the current ones, or none."""
    found, stack = restored.backup.manifest, Stack.stopped(layout)
    with standalone.standalone_database(layout) as postgres, ExitStack() as undo:
        accesses, new = stack.accesses, databases.restored_databases(stack.accesses)
        suffixes = (databases.RESTORED_SUFFIX, databases.REPLACED_SUFFIX)
        databases.drop(postgres, [f"{one.database}{suffix}" for one in accesses for suffix in suffixes])
        postgres.provision([*accesses, *new])
        undo.callback(postgres.provision, accesses)
        undo.callback(databases.drop, postgres, [access.database for access in new])
        for access, into in zip(accesses, new, strict=True):
            progress(access.database)
            databases.load(postgres, into, restored.backup.directory / found.databases[access.database].file)
            _check_rows(postgres, into, access, found)
        progress("migrations")
        _migrate(stack, postgres, zip(accesses, new, strict=True), found)
        restored.erased_again = sorted({*_list_erasures(postgres), *erasures} - {*found.erasures})
        again = len(restored.erased_again)
        progress("new epoch of the account feed" + (f", {again} erased again" if again else ""))
        identity = next(one for one in new if one.server == "identity_service")
        _run_service(stack, postgres, identity, "begin-epoch", "-", stdin="\n".join(restored.erased_again))
        progress("files")
        copied: set[str] = set()
        undo.callback(_remove, layout, copied)
        _copy_files(layout, restored.backup, copied)
        progress("swapping the databases")
        restored.obsolete_files = _list_files(layout) - {*found.stored_files}
        databases.swap(postgres, accesses)
        restored.swapped = True
        undo.pop_all()
        for access in accesses:
            stack.mark_migrated(access.server)
        postgres.provision(accesses)
        shutil.rmtree(layout.cache, ignore_errors=True)


def _swap_back(layout: Layout) -> None:
    """Swaps the databases back to the previous data."""
    accesses = _accesses()
    with standalone.standalone_database(layout) as postgres:
        databases.swap(postgres, accesses, back=True)
        databases.drop(postgres, [access.database + databases.RESTORED_SUFFIX for access in accesses])


def _finish(layout: Layout, restored: Restored) -> None:
    """Deletes the previous data."""
    with standalone.open_database(layout) as postgres:
        databases.drop(postgres, [access.database + databases.REPLACED_SUFFIX for access in _accesses()])
    _remove(layout, restored.obsolete_files)


def _check_rows(postgres: Postgres, new: Access, access: Access, found: Manifest) -> None:
    """Raises CliError if the number of rows of a table differs from the manifest."""
    expected = found.databases[access.database]
    with psycopg.connect(postgres.url(new.database, new.owner)) as connection:
        counts = databases.count_rows(connection)
        differing = {
            name for name in {*counts, *expected.rows} if counts.get(name) != expected.rows.get(name)
        }
        if differing:
            name = min(differing)
            raise CliError(
                f"the dump of {access.database} has {counts.get(name)} rows of {name}, "
                f"but the manifest lists {expected.rows.get(name)}: nothing was changed"
            )
        if access.database == _IDENTITY and databases.get_audit_head(connection) != found.audit_head:
            raise CliError("the last audit entry differs from the manifest: nothing was changed")


def _migrate(
    stack: Stack, postgres: Postgres, pairs: Iterable[tuple[Access, Access]], found: Manifest
) -> None:
    """Migrates the databases to the latest revision."""
    for access, new in pairs:
        _, latest = databases.known_revisions(access.server)
        if found.databases[access.database].revision != latest:
            _run_service(stack, postgres, new, "migrate")


def _run_service(stack: Stack, postgres: Postgres, new: Access, *command: str, stdin: str = "") -> None:
    """Runs a command of a service on its new database. Raises CliError if it fails."""
    environment = {
        **stack.environment(new.server),
        "MENO_DATABASE_URL": postgres.url(new.database, new.server),
        "MENO_OWNER_DATABASE_URL": postgres.url(new.database, new.owner),
    }
    done = subprocess.run(
        [sys.executable, "-m", new.server, *command],
        input=stdin,
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        message = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise CliError(f"{new.server} {command[0]} failed: {message}")


def _copy_files(layout: Layout, backup: Backup, copied: set[str]) -> None:
    """Copies the missing files of a backup, and adds their names to `copied`.

    Files are immutable under their names, so the copies do not affect the current data.
    """
    for name in backup.manifest.stored_files:
        file, target = f"{manifest.STORAGE}/{name}", layout.storage / name
        if target.is_file() and manifest.digest(target) == backup.manifest.files[file].sha256:
            continue
        scratch = target.with_name(f"{target.name}{manifest.UPLOADING_PREFIX}")
        copied.add(scratch.relative_to(layout.storage).as_posix())
        if not target.exists():
            copied.add(name)
        manifest.copy_file(backup.directory / file, scratch)
        scratch.replace(target)


def _list_files(layout: Layout) -> set[str]:
    return {
        file.relative_to(layout.storage).as_posix() for file in layout.storage.rglob("*") if file.is_file()
    }


def _remove(layout: Layout, names: Iterable[str]) -> None:
    """Deletes files, and directories that become empty."""
    for name in names:
        file = layout.storage / name
        file.unlink(missing_ok=True)
        with suppress(OSError):
            file.parent.rmdir()


def _accesses() -> list[Access]:
    return Stack.stopped(Layout()).accesses
