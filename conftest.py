"""Starts one embedded PostgreSQL for the whole test run, which all workers use."""

import gc
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from deploy.stack.postgres import SUPERUSER, Postgres

# Until the tests are collected: each garbage collection would visit all modules imported so far.
gc.disable()

_URL_VARIABLE = "MENO_TEST_POSTGRES"

_SHARED_STACKS = (
    ("tests/access/", "tests/gateway/", "tests/end_to_end/"),
    ("tests/cli/", "tests/faults/test_kills.py"),
)
"""The tests that use the stack of their worker. Each group runs in one worker, so that two stacks are started."""

# Deadlines of examples would fail on a busy machine.
settings.register_profile("meno", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("meno")


def pytest_configure(config: pytest.Config) -> None:
    # Tests start about 20 clusters. Syncing their files to disk takes longer than creating them.
    os.environ.setdefault("MENO_TEST_FSYNC", "off")
    if hasattr(config, "workerinput") or os.environ.get(_URL_VARIABLE):
        return
    directory = Path(tempfile.mkdtemp(prefix="meno-tests-"))
    server = Postgres(directory, durable=False)
    server.prepare()
    process = server.program().start()

    def stop() -> None:
        process.send_signal(server.program().stop_signal)
        process.wait()
        server.remove()

    config.add_cleanup(stop)
    server.wait(process)
    os.environ[_URL_VARIABLE] = server.url("postgres", SUPERUSER)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Raises UsageError if a test that uses a stack is in no group: it would start another one."""
    for item in items:
        if "layout" in getattr(item, "fixturenames", ()) and not any(
            map(item.nodeid.startswith, _SHARED_STACKS)
        ):
            raise pytest.UsageError(
                f"{item.nodeid} uses a stack: add its file to _SHARED_STACKS in conftest.py"
            )


def pytest_collection_finish() -> None:
    # Later collections do not visit the imported modules either.
    gc.freeze()
    gc.enable()


class _Scheduling(LoadFileScheduling):  # type: ignore[misc]
    """Distributes the tests by file, and those that share a stack by group."""

    def _split_scope(self, nodeid: str) -> str:
        shared = (group[0] for group in _SHARED_STACKS if nodeid.startswith(group))
        return next(shared, super()._split_scope(nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadFileScheduling:
    return _Scheduling(config, log)
