"""Restores a backup: the data from before stay until all of it serves in their place."""

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
    """A backup that was verified."""

    directory: Path
    manifest: Manifest


@dataclass
class Restored:
    """What came of it."""

    backup: Backup
    erased_again: list[str] = field(default_factory=list)
    """Ids of people who had been erased since the backup, or by what `erasures` told."""
    unwanted: set[str] = field(default_factory=set)
    """Files from before that are not in the backup."""
    in_place: bool = False
    """Whether the data of the backup are where those from before were."""
    port: int = 0
    """Of the gateway, where the stack runs again."""


def verify(source: Path, progress: Progress) -> Backup:
    """The backup in a directory: every byte is as it was, and this Meno can read it. Raises CliError."""
    found = manifest.read(source)
    manifest.check(source, found, progress)
    for access in _accesses():
        if access.database not in found.databases:
            raise CliError(f"{source} holds no database {access.database}: the backup is not whole")
        dumped = found.databases[access.database]
        known, _ = databases.revisions(access.server)
        if dumped.file not in found.files or dumped.revision not in known:
            raise CliError(
                f"{source} was made by Meno {found.meno} with migration {dumped.revision} of {access.database}, "
                "which this one does not know: restore it with that version"
            )
    return Backup(source, found)


def restore(
    layout: Layout, backup: Backup, erasures: Iterable[str], progress: Progress, console: Console
) -> Restored:
    """Replaces all data of a stack by those of a verified backup; `erasures` are people to erase again.

    A running stack is stopped, and started again at the end. Until then nothing of the data from before
    is given up: where anything fails, they serve on. Raises CliError; Interrupted where it is.
    """
    restored = Restored(backup)
    try:
        _restore(layout, restored, erasures, progress, console)
    except KeyboardInterrupt:
        if restored.in_place:
            done = "interrupted when the data of the backup were in their place already: `meno status`"
            raise Interrupted(done) from None
        raise Interrupted("interrupted: all is as it was") from None
    return restored


def _restore(
    layout: Layout, restored: Restored, erasures: Iterable[str], progress: Progress, console: Console
) -> None:
    state = load(layout) if is_running(layout) else None
    if state is None:
        _replace(layout, restored, erasures, progress)
        _finish(layout, restored)
        return
    running = Layout(layout.directory, state.port or layout.port)
    with ExitStack() as otherwise:
        otherwise.callback(control.up, running, Console(quiet=True))
        progress("stopping the stack")
        control.down(running)
        _replace(running, restored, erasures, progress)
        otherwise.pop_all()
    # It shows its own steps.
    progress("")
    try:
        restored.port = control.up(running, console)[0].port
    except BaseException as error:
        progress("back to the data from before")
        control.down(running)
        _go_back(running)
        control.up(running, Console(quiet=True))
        why = str(error) or "interrupted"
        raise CliError(f"the restored data did not start, those from before are back: {why}") from error
    _finish(running, restored)


def _known_erasures(postgres: Postgres) -> list[str]:
    if _IDENTITY not in databases.names(postgres):
        return []
    with psycopg.connect(postgres.url(_IDENTITY, f"{_IDENTITY}_owner")) as connection:
        return databases.erasures(connection)


def _replace(layout: Layout, restored: Restored, erasures: Iterable[str], progress: Progress) -> None:
    """Fills fresh databases, and puts them in the place of those that are there: all, or none."""
    found, stack = restored.backup.manifest, Stack.at_rest(layout)
    with standalone.standalone_database(layout) as postgres, ExitStack() as otherwise:
        accesses, fresh = stack.accesses, databases.fresh(stack.accesses)
        leftover = [f"{one.database}{end}" for one in accesses for end in (databases.FRESH, databases.BEFORE)]
        databases.drop(postgres, leftover)
        postgres.provision([*accesses, *fresh])
        otherwise.callback(postgres.provision, accesses)
        otherwise.callback(databases.drop, postgres, [access.database for access in fresh])
        for access, into in zip(accesses, fresh, strict=True):
            progress(access.database)
            databases.load(postgres, into, restored.backup.directory / found.databases[access.database].file)
            _check_rows(postgres, into, access, found)
        progress("migrations")
        _migrate(stack, postgres, zip(accesses, fresh, strict=True), found)
        restored.erased_again = sorted({*_known_erasures(postgres), *erasures} - {*found.erasures})
        again = len(restored.erased_again)
        progress("a new epoch of the account feed" + (f", {again} erased again" if again else ""))
        identity = next(one for one in fresh if one.server == "identity_service")
        _told(stack, postgres, identity, "begin-epoch", "-", given="\n".join(restored.erased_again))
        progress("files")
        brought: set[str] = set()
        otherwise.callback(_remove, layout, brought)
        _bring_files(layout, restored.backup, brought)
        progress("in their place")
        restored.unwanted = _files(layout) - {*found.stored}
        databases.swap(postgres, accesses)
        restored.in_place = True
        otherwise.pop_all()
        for access in accesses:
            stack.mark_migrated(access.server)
        postgres.provision(accesses)
        shutil.rmtree(layout.cache, ignore_errors=True)


def _go_back(layout: Layout) -> None:
    """Puts the data from before back in their place."""
    accesses = _accesses()
    with standalone.standalone_database(layout) as postgres:
        databases.swap(postgres, accesses, back=True)
        databases.drop(postgres, [access.database + databases.FRESH for access in accesses])


def _finish(layout: Layout, restored: Restored) -> None:
    """Gives up the data from before."""
    with standalone.open_database(layout) as postgres:
        databases.drop(postgres, [access.database + databases.BEFORE for access in _accesses()])
    _remove(layout, restored.unwanted)


def _check_rows(postgres: Postgres, fresh: Access, access: Access, found: Manifest) -> None:
    """Raises CliError where a table has not the rows that the manifest tells."""
    told = found.databases[access.database]
    with psycopg.connect(postgres.url(fresh.database, fresh.owner)) as connection:
        counted = databases.rows(connection)
        differs = {name for name in {*counted, *told.rows} if counted.get(name) != told.rows.get(name)}
        if differs:
            name = min(differs)
            raise CliError(
                f"the dump of {access.database} has {counted.get(name)} rows of {name}, "
                f"the manifest {told.rows.get(name)}: nothing was changed"
            )
        if access.database == _IDENTITY and databases.audit_head(connection) != found.audit_head:
            raise CliError("the last audit entry is not the one of the manifest: nothing was changed")


def _migrate(
    stack: Stack, postgres: Postgres, pairs: Iterable[tuple[Access, Access]], found: Manifest
) -> None:
    """Brings the databases to the newest revision, where they are not there."""
    for access, fresh in pairs:
        _, newest = databases.revisions(access.server)
        if found.databases[access.database].revision != newest:
            _told(stack, postgres, fresh, "migrate")


def _told(stack: Stack, postgres: Postgres, fresh: Access, *command: str, given: str = "") -> None:
    """Runs a command of a service on its fresh database. Raises CliError."""
    environment = {
        **stack.environment(fresh.server),
        "MENO_DATABASE_URL": postgres.url(fresh.database, fresh.server),
        "MENO_OWNER_DATABASE_URL": postgres.url(fresh.database, fresh.owner),
    }
    done = subprocess.run(
        [sys.executable, "-m", fresh.server, *command],
        input=given,
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise CliError(f"{fresh.server} {command[0]} failed: {said}")


def _bring_files(layout: Layout, backup: Backup, brought: set[str]) -> None:
    """Copies the files that are not here, and notes their names in `brought`.

    A file never changes under its name, so that they do not disturb those that are here.
    """
    for name in backup.manifest.stored:
        file, target = f"{manifest.STORAGE}/{name}", layout.storage / name
        if target.is_file() and manifest.digest(target) == backup.manifest.files[file].sha256:
            continue
        scratch = target.with_name(f"{target.name}{manifest.ARRIVING}")
        brought.add(scratch.relative_to(layout.storage).as_posix())
        if not target.exists():
            brought.add(name)
        manifest.copied(backup.directory / file, scratch)
        scratch.replace(target)


def _files(layout: Layout) -> set[str]:
    return {
        file.relative_to(layout.storage).as_posix() for file in layout.storage.rglob("*") if file.is_file()
    }


def _remove(layout: Layout, names: Iterable[str]) -> None:
    """Deletes files, and the directories that are empty without them."""
    for name in names:
        file = layout.storage / name
        file.unlink(missing_ok=True)
        with suppress(OSError):
            file.parent.rmdir()


def _accesses() -> list[Access]:
    return Stack.at_rest(Layout()).accesses
