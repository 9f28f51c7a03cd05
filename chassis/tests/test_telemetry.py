"""Logs contain errors without personal data."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest
import structlog

from chassis import telemetry

EMAIL = "ada@example.org"


@pytest.fixture
def _restored_logging() -> Iterator[None]:
    """Restores the logging configuration after the test."""
    kept, handlers = structlog.get_config(), logging.getLogger().handlers[:]
    yield
    structlog.configure(**kept)
    logging.getLogger().handlers[:] = handlers
    structlog.contextvars.clear_contextvars()


@pytest.mark.usefixtures("_restored_logging")
def test_a_traceback_contains_no_row_values(database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.configure("probe_service")
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE people (email text PRIMARY KEY)")
        try:
            connection.execute("INSERT INTO people VALUES (%(email)s), (%(email)s)", {"email": EMAIL})
        except psycopg.errors.UniqueViolation as error:
            structlog.get_logger().error("internal_error", exc_info=error)
    [line] = capsys.readouterr().err.strip().splitlines()
    written = json.loads(line)
    assert (written["service"], written["event"]) == ("probe_service", "internal_error")
    assert "people_pkey" in written["exception"]
    assert EMAIL not in line


def test_services_do_not_import_the_console_of_structlog() -> None:
    """It takes 6 MiB of memory in every process. The order of imports decides whether structlog finds it."""
    for service in ("identity_service", "content_service", "session_service", "chat_service"):
        code = f"import sys, {service}.__main__; print(*sorted({{'rich', 'greenlet'}} & sys.modules.keys()))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.split() == [], service
