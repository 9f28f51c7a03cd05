"""A service with one RPC of every shape, as the chassis serves it."""

import asyncio
import importlib
import sys
from collections.abc import AsyncIterator, Iterator
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from grpc_tools import protoc

from chassis import registration
from chassis.calls import Context
from chassis.database import Database
from chassis.errors import AccessDenied
from chassis.idempotency import write
from chassis.security import SecurityContext
from chassis.server import App
from chassis.testing import Postgres, RunningService, TestEnvironment
from chassis.tests import tables
from chassis.tests.tables import ADD_NOTE

HERE = Path(__file__).parent


class Probe(NamedTuple):
    """The compiled contract."""

    messages: Any
    stubs: ModuleType


@pytest.fixture(scope="session")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Probe:
    """Compiles the contract of the tests, which nothing but them knows."""
    output = tmp_path_factory.mktemp("probe")
    status = protoc.main(
        [
            "protoc",
            f"-I{HERE}",
            f"--descriptor_set_in={files('meno') / 'descriptors.binpb'}",
            f"--python_out={output}",
            f"--grpc_python_out={output}",
            "probe/v1/probe.proto",
        ]
    )
    assert status == 0
    sys.path.insert(0, str(output))
    try:
        return Probe(
            importlib.import_module("probe.v1.probe_pb2"), importlib.import_module("probe.v1.probe_pb2_grpc")
        )
    finally:
        sys.path.remove(str(output))


@pytest.fixture
def database_url(postgres: Postgres) -> Iterator[str]:
    """A database with the tables of the tests."""
    url = postgres.create_empty()
    tables.create(url)
    yield url
    postgres.drop(url)


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The database behind the probe."""
    opened = Database(database_url)
    await opened.open()
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def security(env: TestEnvironment) -> AsyncIterator[SecurityContext]:
    """Follows the house's keys and feed."""
    async with env.security() as following:
        yield following


@pytest_asyncio.fixture
async def service(
    env: TestEnvironment, security: SecurityContext, database: Database, probe: Probe
) -> AsyncIterator[RunningService]:
    """The probe, served under mutual TLS behind the chain."""
    app = App([registration.service(probe.messages, _servicer(probe.messages, database))], security)
    async with env.serve(app, "probe_service") as running:
        yield running


@pytest_asyncio.fixture
async def stub(service: RunningService, probe: Probe) -> Any:
    """Calls the probe as the gateway does."""
    return probe.stubs.ProbeServiceStub(service.channel())


def _servicer(messages: Any, database: Database) -> Any:
    """Answers every RPC with what it was asked."""

    async def echo(self: object, request: Any, context: Context) -> Any:
        return messages.Answered(text=request.text or request.user_id)

    class Servicer:
        Open = Own = Taught = Read = Marked = OwnInClass = OwnOrAdmin = Waiting = echo
        SignedIn = GuestsToo = Inside = Nobody = echo

        async def Note(self, request: Any, context: Context) -> Any:
            async with write(database) as transaction:
                await transaction.run(ADD_NOTE, user_id=request.user_id, text=request.text)
                if request.text == "a fault of ours":
                    raise ZeroDivisionError
                if request.text == "refused":
                    raise AccessDenied()
                return transaction.respond(messages.Answered(text=request.text))

        async def Watch(self, request: Any, context: Context) -> AsyncIterator[Any]:
            yield messages.Step(text="first")
            if request.text == "refused":
                raise AccessDenied()
            await asyncio.Event().wait()

        async def Send(self, requests: AsyncIterator[Any], context: Context) -> Any:
            return messages.Answered(text="".join([request.text async for request in requests]))

    return Servicer()
