"""PostgreSQL servers and databases for benchmarks."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chassis.testing import Postgres
from deploy.stack import postgres as local

VARIABLE = "MENO_TEST_POSTGRES"


@contextmanager
def server() -> Iterator[str]:
    """Yields the superuser URL in MENO_TEST_POSTGRES, or else the URL of a temporary server."""
    named = os.environ.get(VARIABLE)
    if named:
        yield named
        return
    started = local.Postgres(Path(tempfile.mkdtemp(prefix="meno-benchmark-")), durable=False)
    started.prepare()
    process = started.program().start()
    try:
        started.wait(process)
        yield started.url("postgres", local.SUPERUSER)
    finally:
        process.send_signal(started.program().stop_signal)
        process.wait()
        started.remove()


@contextmanager
def migrated(service: str) -> Iterator[str]:
    """Yields the URL of a new database with the tables of a service, and drops the database at the end."""
    with server() as admin_url:
        postgres = Postgres(admin_url)
        url = postgres.create(service)
        try:
            yield url
        finally:
            postgres.drop(url)
            postgres.close()
