"""Dumps databases, loads dumps into new databases, and swaps these with the current ones."""

import re
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from deploy.stack.errors import CliError
from deploy.stack.layout import SERVICES
from deploy.stack.postgres import SUPERUSER, Access, Postgres

RESTORED_SUFFIX = "_restored"
REPLACED_SUFFIX = "_replaced"

_REVISION = re.compile(r'^(down_)?revision = "(\w+)"', re.MULTILINE)


@dataclass(frozen=True)
class Snapshot:
    """An exported snapshot of a database."""

    access: Access
    connection: "psycopg.Connection[Any]"
    name: str
    """The name of the exported snapshot, which pg_dump uses."""


@contextmanager
def open_snapshots(postgres: Postgres, accesses: Iterable[Access]) -> Iterator[list[Snapshot]]:
    """Opens a snapshot of each database for the body. Raises CliError if a database cannot be read.

    The snapshots are taken one after the other, in reverse order of dependency. A service is captured
    before the services that it refers to, so every reference has its target. The sender of an outbox
    message is captured before the receiver, so no message is lost between two snapshots.
    """
    taken: list[Snapshot] = []
    try:
        for access in reversed([*accesses]):
            connection = psycopg.connect(postgres.url(access.database, access.owner))
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            row = connection.execute("SELECT pg_export_snapshot()").fetchone()
            taken.append(Snapshot(access, connection, str(row[0]) if row else ""))
        yield taken
    except psycopg.OperationalError as error:
        raise CliError(f"the database cannot be read: {str(error).strip().splitlines()[0]}") from error
    finally:
        for snapshot in taken:
            snapshot.connection.close()


def dump(postgres: Postgres, snapshot: Snapshot, target: Path) -> None:
    """Dumps a database at its snapshot. Raises CliError if pg_dump fails."""
    target.touch(mode=0o600)
    options = (
        "--format=custom",
        "--no-owner",
        "--no-comments",
        f"--snapshot={snapshot.name}",
        f"--file={target}",
    )
    _run(postgres, "pg_dump", snapshot.access, *options)


def load(postgres: Postgres, access: Access, source: Path) -> None:
    """Loads a dump into an empty database, as its owner. Raises CliError if pg_restore fails."""
    options = ("--exit-on-error", "--no-owner", "--no-comments", f"--dbname={access.database}", str(source))
    _run(postgres, "pg_restore", access, *options)


def count_rows(connection: "psycopg.Connection[Any]") -> dict[str, int]:
    """Returns the number of rows of each table."""
    names = connection.execute(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace "
        "ORDER BY relname"
    ).fetchall()
    count = sql.SQL("SELECT count(*) FROM {}")
    counts = {}
    for (name,) in names:
        row = connection.execute(count.format(sql.Identifier(name))).fetchone()
        counts[str(name)] = int(row[0]) if row else 0
    return counts


def current_revision(connection: "psycopg.Connection[Any]") -> str:
    """Returns the latest migration that was applied to a database, or an empty text."""
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else ""


def get_audit_head(connection: "psycopg.Connection[Any]") -> dict[str, Any]:
    """Returns sequence and digest of the last audit entry; an empty dictionary for an empty chain."""
    row = connection.execute(
        "SELECT sequence, encode(digest, 'hex') FROM audit_entries ORDER BY sequence DESC LIMIT 1"
    ).fetchone()
    return {"sequence": row[0], "digest": row[1]} if row else {}


def list_erasures(connection: "psycopg.Connection[Any]") -> list[str]:
    """Returns the ids of the erased users."""
    if not has_table(connection, "erasures"):
        return []
    return [
        str(row[0]) for row in connection.execute("SELECT user_id FROM erasures ORDER BY user_id").fetchall()
    ]


def has_table(connection: "psycopg.Connection[Any]", table: str) -> bool:
    """Returns whether a database has a table."""
    row = connection.execute("SELECT to_regclass(%s)", [table]).fetchone()
    return row is not None and row[0] is not None


def list_databases(postgres: Postgres) -> set[str]:
    """Returns the names of all databases."""
    with connect_as_superuser(postgres) as connection:
        return {str(row[0]) for row in connection.execute("SELECT datname FROM pg_database").fetchall()}


def restored_databases(accesses: Iterable[Access]) -> list[Access]:
    """Returns the databases into which a backup is loaded, next to the current ones."""
    return [replace(access, database=access.database + RESTORED_SUFFIX) for access in accesses]


def drop(postgres: Postgres, databases: Iterable[str]) -> None:
    """Drops databases and closes their connections."""
    with connect_as_superuser(postgres) as connection:
        for name in databases:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )


def swap(postgres: Postgres, accesses: Iterable[Access], *, back: bool = False) -> None:
    """Renames the restored databases to the current names, in one transaction; `back` undoes it."""
    incoming, outgoing = (REPLACED_SUFFIX, RESTORED_SUFFIX) if back else (RESTORED_SUFFIX, REPLACED_SUFFIX)
    rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    with psycopg.connect(postgres.url("postgres", SUPERUSER)) as connection:
        for access in accesses:
            name = access.database
            for old, new in ((name, name + outgoing), (name + incoming, name)):
                connection.execute(rename.format(sql.Identifier(old), sql.Identifier(new)))


@contextmanager
def connect_as_superuser(postgres: Postgres) -> "Iterator[psycopg.Connection[Any]]":
    """Opens an autocommit connection of the superuser for the body."""
    with psycopg.connect(postgres.url("postgres", SUPERUSER), autocommit=True) as connection:
        yield connection


def known_revisions(service: str) -> tuple[set[str], str]:
    """Returns all migrations of a service in this version of Meno, and the latest one."""
    known, previous = set[str](), set[str]()
    for file in Path(str(files(service) / "migrations" / "versions")).glob("*.py"):
        for down, name in _REVISION.findall(file.read_text()):
            (previous if down else known).add(name)
    latest = known - previous
    return known, next(iter(latest), "")


def service_of(access: Access) -> str:
    """Returns the service that a database belongs to."""
    return next(name for name in SERVICES if name == access.server)


def _run(postgres: Postgres, tool: str, access: Access, *options: str) -> None:
    done = subprocess.run(
        [postgres.tool(tool), *options],
        env=postgres.environment(access.database, access.owner),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no output"]
        raise CliError(f"{tool} of {access.database} failed: {lines[0]}")
