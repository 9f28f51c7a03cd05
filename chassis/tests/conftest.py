"""Fixtures: a service with one RPC of every shape, served by the chassis."""

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
    """The compiled contract of the test service."""

    messages: Any
    stubs: ModuleType


@pytest.fixture(scope="session")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Probe:
    """Compiles the contract of the test service, which is not part of the installed contracts."""
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
    """Creates a database with the tables of the tests, and drops it after the test."""
    url = postgres.create_empty()
    tables.create(url)
    yield url
    postgres.drop(url)


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Opens the database of the test service."""
    opened = Database(database_url)
    await opened.open()
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def security(env: TestEnvironment) -> AsyncIterator[SecurityContext]:
    """Follows the keys and the account feed of the test environment."""
    async with env.security() as following:
        yield following


@pytest_asyncio.fixture
async def service(
    env: TestEnvironment, security: SecurityContext, database: Database, probe: Probe
) -> AsyncIterator[RunningService]:
    """Serves the test service over mutual TLS behind the interceptor chain."""
    servicers = _servicers(probe.messages, database)
    app = App([registration.service(probe.messages, *servicers)], security)
    async with env.serve(app, "probe_service") as running:
        yield running


@pytest_asyncio.fixture
async def stub(service: RunningService, probe: Probe) -> Any:
    """Returns a stub that calls the test service as the gateway does."""
    return probe.stubs.ProbeServiceStub(service.channel())


def _servicers(messages: Any, database: Database) -> tuple[object, ...]:
    """Returns the servicers of which the test service is composed."""

    async def echo(self: object, request: Any, context: Context) -> Any:
        return messages.EchoResponse(text=request.text or request.user_id)

    class EchoServicer:
        Public = Owner = ClassTeacher = ArchivedClassMember = ArchivedClassTeacher = OwnerInClass = echo
        OwnerOrAdmin = UnassignedOwner = SignedIn = GuestOrSignedIn = FromService = Denied = echo

    class NoteServicer:
        async def CreateNote(self, request: Any, context: Context) -> Any:
            async with write(database) as transaction:
                await transaction.run(ADD_NOTE, user_id=request.user_id, text=request.text)
                if request.text == "internal error":
                    raise ZeroDivisionError
                if request.text == "denied":
                    raise AccessDenied()
                return transaction.respond(messages.EchoResponse(text=request.text))

    class StreamServicer:
        async def Watch(self, request: Any, context: Context) -> AsyncIterator[Any]:
            if request.text == "refused":
                raise AccessDenied()
            if request.text != "quiet":
                yield messages.WatchResponse(text="first")
            if request.text == "denied":
                raise AccessDenied()
            await asyncio.Event().wait()

        async def Upload(self, requests: AsyncIterator[Any], context: Context) -> Any:
            return messages.EchoResponse(text="".join([request.text async for request in requests]))

    return EchoServicer(), NoteServicer(), StreamServicer()
