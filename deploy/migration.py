"""Creates a migration from the difference between a service's tables and its migrations.

`python -m deploy.migration SERVICE NAME` migrates a scratch database to the newest revision, compares it with
`tables.py`, and writes the difference to `SERVICE/migrations/versions/`. Review the file before you commit it:
Alembic recognises neither renamed tables and columns nor changes of CHECK constraints and grants.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg

from chassis import migrations
from deploy.stack.layout import ROOT, SERVICES
from deploy.stack.postgres import SUPERUSER, Postgres

_NAME = re.compile(r"[a-z][a-z0-9_]*")


def create(service: str, name: str) -> Path:
    """Writes the migration and returns its path.

    Raises SystemExit if the service or the name is invalid, or if there is no difference.
    """
    if service not in SERVICES:
        raise SystemExit(f"SERVICE must be one of {', '.join(SERVICES)}")
    if not _NAME.fullmatch(name):
        raise SystemExit("NAME must be in snake_case, such as add_session_notes")
    with tempfile.TemporaryDirectory(prefix="meno-migration-") as directory:
        server = Postgres(Path(directory), durable=False)
        server.prepare()
        process = server.program().start()
        try:
            server.wait(process)
            url = server.url("postgres", SUPERUSER)
            with psycopg.connect(url) as connection:
                connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            migrations.upgrade(service, url)
            path = migrations.autogenerate(service, url, name)
        finally:
            process.send_signal(server.program().stop_signal)
            process.wait()
            server.remove()
    if path is None:
        raise SystemExit(f"the tables of {service} equal its migrations: change tables.py first")
    _format(path)
    return path


def _format(path: Path) -> None:
    """Formats a generated migration and removes the comments of Alembic."""
    source = re.sub(r"^ +# ###.*\n", "", path.read_text(), flags=re.MULTILINE)
    path.write_text(source)
    ruff = [sys.executable, "-m", "ruff"]
    subprocess.run([*ruff, "check", "--fix", "--quiet", path], cwd=ROOT, check=False)
    subprocess.run([*ruff, "format", "--quiet", path], cwd=ROOT, check=True)


def main() -> None:
    """Creates the migration that the command line names."""
    if len(sys.argv) != 3:
        raise SystemExit("usage: make migration SERVICE=session_service NAME=add_session_notes")
    path = create(*sys.argv[1:])
    sys.stdout.write(f"wrote {path.relative_to(ROOT)}: review it, then run make test TESTS=tests/data\n")


if __name__ == "__main__":
    main()
