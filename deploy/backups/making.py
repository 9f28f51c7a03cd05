"""Makes a backup: whole, or not at all."""

import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from deploy.backups import databases, manifest
from deploy.backups.databases import Snapshot
from deploy.backups.manifest import Content, Dumped, Manifest
from deploy.stack import standalone
from deploy.stack.errors import CliError
from deploy.stack.layout import Layout
from deploy.stack.postgres import Postgres
from deploy.stack.stack import Stack

Progress = Callable[[str], None]

_IDENTITY = "identity"


def make(layout: Layout, target: Path, progress: Progress) -> Manifest:
    """Backs up a stack, running or not, into a directory that is there only once all is in it.

    Neither secrets nor certificates nor passwords go with it. Raises CliError.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise CliError(f"{target} is there already: name a directory that is not")
    scratch = target.with_name(f".{target.name}.part")
    try:
        with ExitStack() as undo:
            undo.callback(shutil.rmtree, scratch, ignore_errors=True)
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(parents=True, mode=0o700)
            with standalone.open_database(layout) as postgres:
                made = _dumped(layout, postgres, scratch, progress)
            # After the databases: what they refer to is there.
            made.files.update(_stored(layout, scratch, progress))
            made.write(scratch)
            _kept(scratch)
            if target.exists():
                target.rmdir()
            scratch.rename(target)
    except OSError as error:
        raise CliError(f"cannot write {target}: {error.strerror or error}") from error
    return made


def _dumped(layout: Layout, postgres: Postgres, scratch: Path, progress: Progress) -> Manifest:
    accesses = Stack.at_rest(layout).accesses
    missing = {access.database for access in accesses} - databases.names(postgres)
    if missing:
        raise CliError(
            f"there is nothing to back up yet: the database {min(missing)} is missing; `meno up` makes it"
        )
    progress("snapshots")
    with databases.snapshots(postgres, accesses) as snapshots:
        made = Manifest(
            meno=version("meno-cli"),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            postgres=str(snapshots[0].connection.info.parameter_status("server_version")),
        )
        for snapshot in snapshots:
            _one(postgres, snapshot, scratch, made, progress)
    return made


def _one(postgres: Postgres, snapshot: Snapshot, scratch: Path, made: Manifest, progress: Progress) -> None:
    name, connection = snapshot.access.database, snapshot.connection
    if not databases.has(connection, "alembic_version"):
        raise CliError(f"the database {name} has no tables yet: `meno up` makes them")
    progress(name)
    file = f"{name}.dump"
    databases.dump(postgres, snapshot, scratch / file)
    dumped = scratch / file
    made.files[file] = Content(dumped.stat().st_size, manifest.digest(dumped))
    made.databases[name] = Dumped(file, databases.revision(connection), databases.rows(connection))
    if name == _IDENTITY:
        made.audit_head = databases.audit_head(connection)
        made.erasures = databases.erasures(connection)


def _stored(layout: Layout, scratch: Path, progress: Progress) -> dict[str, Content]:
    """The uploaded files, but for those that are gone by now."""
    copied = {}
    for file in sorted(layout.storage.rglob("*")):
        name = f"{manifest.STORAGE}/{file.relative_to(layout.storage).as_posix()}"
        if not file.is_file() or manifest.ARRIVING in file.name:
            continue
        progress(name)
        try:
            copied[name] = manifest.copied(file, scratch / name)
        except FileNotFoundError:
            (scratch / name).unlink(missing_ok=True)
    return copied


def _kept(directory: Path) -> None:
    """Has the disk hold it before it gets its name."""
    for file in (*directory.rglob("*"), directory):
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
