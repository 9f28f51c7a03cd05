"""Starts one embedded PostgreSQL for the whole run, and hands it to every worker of it."""

import os
import tempfile
from pathlib import Path

import pytest

from deploy.stack.postgres import SUPERUSER, Postgres

_VARIABLE = "MENO_TEST_POSTGRES"


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput") or os.environ.get(_VARIABLE):
        return
    directory = Path(tempfile.mkdtemp(prefix="meno-tests-"))
    server = Postgres(directory, durable=False)
    server.prepare()
    process = server.program().start()
    server.wait(process)
    os.environ[_VARIABLE] = server.url("postgres", SUPERUSER)

    def stop() -> None:
        process.send_signal(server.program().stop_signal)
        process.wait()
        server.remove()

    config.add_cleanup(stop)
