"""Runs the demo as `make demo` does."""

from pathlib import Path

import pytest

from deploy.stack.layout import Layout
from deploy.stack.postgres import Postgres
from deploy.stack.state import is_running
from tests import local_stack

ALARMING = ('"level": "warning"', '"level": "error"', "FATAL: ", "ERROR: ", "Traceback", "jwks.json: failed")
STOPPED = "due to administrator command"
"""The demo stops PostgreSQL, which may interrupt a vacuum at that moment."""

pytestmark = pytest.mark.timeout(600)


def test_the_demo_succeeds_and_stops_the_stack(tmp_path: Path) -> None:
    try:
        done = local_stack.run_module("demo", directory=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert not is_running(Layout(tmp_path))
        for text in ("does not answer this question", "verified citations", "rejected calls"):
            assert text in done.stdout
        logs = "".join(file.read_text() for file in (tmp_path / "logs").glob("*.log"))
        lines = [line for line in logs.splitlines() if STOPPED not in line]
        assert [line for line in lines if any(mark in line for mark in ALARMING)] == []
    finally:
        local_stack.run_module("clean", "--yes", directory=tmp_path)
        Postgres(tmp_path).remove()
