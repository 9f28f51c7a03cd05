"""Logs contain errors without personal data."""

import json
import logging
import subprocess
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import structlog

from chassis import telemetry
from chassis.testing import TestEnvironment, bearer, expect_error
from chassis.tests.conftest import Probe

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


async def test_a_failed_call_is_logged_with_the_reason_and_without_its_request(
    env: TestEnvironment, stub: Any, probe: Probe
) -> None:
    user_id = str(uuid.uuid4())
    request = probe.messages.EchoRequest(user_id=str(uuid.uuid4()), text=EMAIL)
    with structlog.testing.capture_logs() as logged:
        await expect_error(stub.Owner(request, **bearer(env.issuer.token(user_id))))
    [line] = logged
    assert (line["event"], line["code"], line["reason"]) == ("call", "PERMISSION_DENIED", "ACCESS_DENIED")
    assert (line["method"], line["user_id"]) == ("/probe.v1.ProbeService/Owner", user_id)
    assert request.user_id not in str(line)
    assert EMAIL not in str(line)
