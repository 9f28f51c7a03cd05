"""Creates a backup, complete or not at all."""

import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from deploy.backups import databases, manifest
from deploy.backups.databases import Snapshot
from deploy.backups.manifest import Dump, FileInfo, Manifest
from deploy.stack import standalone
from deploy.stack.errors import CliError
from deploy.stack.layout import Layout
from deploy.stack.postgres import Postgres
from deploy.stack.stack import Stack

Progress = Callable[[str], None]

_IDENTITY = "identity"


def create_backup(layout: Layout, target: Path, progress: Progress) -> Manifest:
    """Backs up a stack, running or stopped, into a directory that appears only when it is complete.

    Secrets, certificates and passwords are not included. Raises CliError if the directory exists, if
    there is nothing to back up, or if something cannot be read or written.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise CliError(f"{target} already exists: give a directory that does not exist")
    scratch = target.with_name(f".{target.name}.part")
    try:
        with ExitStack() as undo:
            undo.callback(shutil.rmtree, scratch, ignore_errors=True)
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(parents=True, mode=0o700)
            with standalone.open_database(layout) as postgres:
                made = _dump_databases(layout, postgres, scratch, progress)
            # Copied after the databases, so that every file that these refer to exists.
            made.files.update(_copy_stored_files(layout, scratch, progress))
            made.write(scratch)
            _sync(scratch)
            if target.exists():
                target.rmdir()
            scratch.rename(target)
    except OSError as error:
        raise CliError(f"cannot write {target}: {error.strerror or error}") from error
    return made


def _dump_databases(layout: Layout, postgres: Postgres, scratch: Path, progress: Progress) -> Manifest:
    accesses = Stack.stopped(layout).accesses
    missing = {access.database for access in accesses} - databases.list_databases(postgres)
    if missing:
        raise CliError(
            f"there is nothing to back up: the database {min(missing)} does not exist; create it with `meno up`"
        )
    progress("snapshots")
    with databases.open_snapshots(postgres, accesses) as snapshots:
        made = Manifest(
            meno=version("meno-cli"),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            postgres=str(snapshots[0].connection.info.parameter_status("server_version")),
        )
        for snapshot in snapshots:
            _dump_one(postgres, snapshot, scratch, made, progress)
    return made


def _dump_one(
    postgres: Postgres, snapshot: Snapshot, scratch: Path, made: Manifest, progress: Progress
) -> None:
    name, connection = snapshot.access.database, snapshot.connection
    if not databases.has_table(connection, "alembic_version"):
        raise CliError(f"the database {name} has no tables: create them with `meno up`")
    progress(name)
    file = f"{name}.dump"
    databases.dump(postgres, snapshot, scratch / file)
    dumped = scratch / file
    made.files[file] = FileInfo(dumped.stat().st_size, manifest.digest(dumped))
    made.databases[name] = Dump(
        file, databases.current_revision(connection), databases.count_rows(connection)
    )
    if name == _IDENTITY:
        made.audit_head = databases.get_audit_head(connection)
        made.erasures = databases.list_erasures(connection)


def _copy_stored_files(layout: Layout, scratch: Path, progress: Progress) -> dict[str, FileInfo]:
    """Copies the uploaded files. A file that is deleted meanwhile is left out."""
    copied = {}
    for file in sorted(layout.storage.rglob("*")):
        name = f"{manifest.STORAGE}/{file.relative_to(layout.storage).as_posix()}"
        if not file.is_file() or manifest.UPLOADING_PREFIX in file.name:
            continue
        progress(name)
        try:
            copied[name] = manifest.copy_file(file, scratch / name)
        except FileNotFoundError:
            (scratch / name).unlink(missing_ok=True)
    return copied


def _sync(directory: Path) -> None:
    """Flushes all files to disk, because the final name promises a complete backup."""
    for file in (*directory.rglob("*"), directory):
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
