"""Starts one embedded PostgreSQL for the whole test run, which all workers use."""

import gc
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

from deploy.stack.postgres import SUPERUSER, Postgres

_URL_VARIABLE = "MENO_TEST_POSTGRES"
_STACK_TESTS = (
    "tests/access/",
    "tests/cli/",
    "tests/end_to_end/",
    "tests/faults/test_kills.py",
    "tests/gateway/test_logs.py",
)
"""The tests that use the fixture `layout`. One worker runs them all, so that the run starts one stack for them."""
_OWN_STACK_TESTS = ("tests/end_to_end/test_demo.py", "tests/cli/test_help.py")

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


class _Scheduling(LoadFileScheduling):  # type: ignore[misc]
    """Sends the tests of a file to one worker, and the tests that use the stack to the same worker."""

    def _split_scope(self, nodeid: str) -> str:
        return "stack" if shares_stack(nodeid) else str(super()._split_scope(nodeid))


def shares_stack(nodeid: str) -> bool:
    """Returns whether a test uses the stack that all such tests share."""
    return nodeid.startswith(_STACK_TESTS) and not nodeid.startswith(_OWN_STACK_TESTS)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    return _Scheduling(config, log)


def pytest_collection_finish() -> None:
    # Each full garbage collection would otherwise visit all imported modules.
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Raises UsageError if a test that uses the shared stack is not in the list."""
    for item in items:
        if "layout" in getattr(item, "fixturenames", ()) and not shares_stack(item.nodeid):
            raise pytest.UsageError(
                f"{item.nodeid} uses the stack: add its file to _STACK_TESTS in conftest.py"
            )
