"""The pytest plugin: fixtures for databases and the test environment."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from chassis.interceptors import streams
from chassis.notifications import Subscription
from chassis.testing.databases import Postgres
from chassis.testing.environment import TestEnvironment


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The test server."""
    admin_url = os.environ.get("MENO_TEST_POSTGRES")
    if not admin_url:
        pytest.fail("MENO_TEST_POSTGRES is not set: run `make test`, or set it to a URL", pytrace=False)
    server = Postgres(admin_url)
    yield server
    server.close()


@pytest.fixture
def new_database(postgres: Postgres) -> Iterator[Callable[[str], str]]:
    """Creates databases with a service's tables, and drops them after the test."""
    created: list[str] = []

    def create(service: str) -> str:
        created.append(postgres.create(service))
        return created[-1]

    yield create
    for url in created:
        postgres.drop(url)


@pytest.fixture
def without_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disables the polling of subscriptions, so that a missing notification makes the test fail."""
    monkeypatch.setattr(Subscription.wait, "__defaults__", (3600.0,))


@pytest.fixture(autouse=True)
def without_keep_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps quiet streams of services under test quiet: on a busy machine, a test may take longer than the interval."""
    monkeypatch.setattr(streams, "KEEP_ALIVE_SECONDS", 3600.0)


@pytest_asyncio.fixture
async def env(tmp_path: Path) -> TestEnvironment:
    """Keys, certificates and an account feed of the test's own."""
    return TestEnvironment(tmp_path / "certificates")
