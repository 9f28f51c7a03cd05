"""Dumping the databases, and reading dumps into fresh ones that then take their place."""

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

FRESH = "_restored"
BEFORE = "_replaced"

_REVISION = re.compile(r'^(down_)?revision = "(\w+)"', re.MULTILINE)


@dataclass(frozen=True)
class Snapshot:
    """One database at one moment."""

    access: Access
    connection: "psycopg.Connection[Any]"
    name: str
    """By which others see the same moment."""


@contextmanager
def snapshots(postgres: Postgres, accesses: Iterable[Access]) -> Iterator[list[Snapshot]]:
    """The databases, each at one moment, and all of them in nearly the same.

    They are taken in reverse: what refers to others before those, and who sends a fact before who
    receives it, so that nothing refers to what is not there yet, and no fact is lost between two.
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
    """Writes a database as it was at the snapshot. Raises CliError."""
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
    """Reads a dump into an empty database, as its owner. Raises CliError."""
    options = ("--exit-on-error", "--no-owner", "--no-comments", f"--dbname={access.database}", str(source))
    _run(postgres, "pg_restore", access, *options)


def rows(connection: "psycopg.Connection[Any]") -> dict[str, int]:
    """How many rows each table has."""
    names = connection.execute(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace "
        "ORDER BY relname"
    ).fetchall()
    count = sql.SQL("SELECT count(*) FROM {}")
    counted = {}
    for (name,) in names:
        row = connection.execute(count.format(sql.Identifier(name))).fetchone()
        counted[str(name)] = int(row[0]) if row else 0
    return counted


def revision(connection: "psycopg.Connection[Any]") -> str:
    """The newest migration of a database."""
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else ""


def audit_head(connection: "psycopg.Connection[Any]") -> dict[str, Any]:
    """The last entry of the audit chain; nothing of an empty one."""
    row = connection.execute(
        "SELECT sequence, encode(digest, 'hex') FROM audit_entries ORDER BY sequence DESC LIMIT 1"
    ).fetchone()
    return {"sequence": row[0], "digest": row[1]} if row else {}


def erasures(connection: "psycopg.Connection[Any]") -> list[str]:
    """Who was erased, by their ids."""
    if not has(connection, "erasures"):
        return []
    return [
        str(row[0]) for row in connection.execute("SELECT user_id FROM erasures ORDER BY user_id").fetchall()
    ]


def has(connection: "psycopg.Connection[Any]", table: str) -> bool:
    """Whether a database has a table."""
    row = connection.execute("SELECT to_regclass(%s)", [table]).fetchone()
    return row is not None and row[0] is not None


def names(postgres: Postgres) -> set[str]:
    """The databases that there are."""
    with superuser(postgres) as connection:
        return {str(row[0]) for row in connection.execute("SELECT datname FROM pg_database").fetchall()}


def fresh(accesses: Iterable[Access]) -> list[Access]:
    """The databases that are filled beside those that serve."""
    return [replace(access, database=access.database + FRESH) for access in accesses]


def drop(postgres: Postgres, databases: Iterable[str]) -> None:
    """Drops databases, and whatever is connected to them."""
    with superuser(postgres) as connection:
        for name in databases:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )


def swap(postgres: Postgres, accesses: Iterable[Access], *, back: bool = False) -> None:
    """Puts the fresh databases in the place of those that serve, or those from before back: all at once."""
    taking, leaving = (BEFORE, FRESH) if back else (FRESH, BEFORE)
    rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    with psycopg.connect(postgres.url("postgres", SUPERUSER)) as connection:
        for access in accesses:
            name = access.database
            for old, new in ((name, name + leaving), (name + taking, name)):
                connection.execute(rename.format(sql.Identifier(old), sql.Identifier(new)))


@contextmanager
def superuser(postgres: Postgres) -> "Iterator[psycopg.Connection[Any]]":
    """A connection that may do anything, and does each thing at once."""
    with psycopg.connect(postgres.url("postgres", SUPERUSER), autocommit=True) as connection:
        yield connection


def revisions(service: str) -> tuple[set[str], str]:
    """The migrations that this Meno knows of a service, and the newest of them."""
    known, before = set[str](), set[str]()
    for file in Path(str(files(service) / "migrations" / "versions")).glob("*.py"):
        for down, name in _REVISION.findall(file.read_text()):
            (before if down else known).add(name)
    newest = known - before
    return known, next(iter(newest), "")


def service_of(access: Access) -> str:
    """The service whose database it is."""
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
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise CliError(f"{tool} of {access.database} failed: {said[0]}")
