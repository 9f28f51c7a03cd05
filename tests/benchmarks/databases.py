"""A PostgreSQL for a benchmark."""

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
    """The URL of a superuser: the one that MENO_TEST_POSTGRES names, or one that is gone afterwards."""
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
    """The URL of a new database with a service's tables, dropped afterwards."""
    with server() as admin_url:
        postgres = Postgres(admin_url)
        url = postgres.create(service)
        try:
            yield url
        finally:
            postgres.drop(url)
            postgres.close()
