"""The gateway retries a call that has reached no service, so that its client need not repeat it."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc

from chassis.testing import bearer, expect_error
from meno.session.v1.session_service_pb2 import CreateSessionRequest
from meno.session.v1.session_service_pb2_grpc import SessionServiceStub
from tests.gateway.gateway_client import free_ports, start_gateway
from tests.local_stack import GUARD_SECONDS


async def test_a_call_made_while_a_service_restarts_succeeds_without_a_repetition(tmp_path: Path) -> None:
    [port] = free_ports(1)
    served: list[Any] = []
    hooks = {"CreateSession": served.append}
    async with start_gateway(tmp_path, hooks=hooks, connect_to={"session_service": port}) as gateway:
        token = gateway.env.issuer.token(str(uuid.uuid4()))
        stub = SessionServiceStub(gateway.channel)
        call = stub.CreateSession(CreateSessionRequest(user_id="me"), timeout=GUARD_SECONDS, **bearer(token))
        waiting = asyncio.ensure_future(call)
        done, _ = await asyncio.wait({waiting}, timeout=1)
        assert not done
        async with _relay(port, gateway.server_ports["session_service"]):
            await waiting
    assert len(served) == 1


async def test_a_call_that_has_reached_a_service_is_not_retried(tmp_path: Path) -> None:
    served: list[Any] = []

    def fail(context: Any) -> None:
        served.append(context)
        raise ConnectionError

    async with start_gateway(tmp_path, hooks={"CreateSession": fail}) as gateway:
        token = gateway.env.issuer.token(str(uuid.uuid4()))
        stub = SessionServiceStub(gateway.channel)
        call = stub.CreateSession(CreateSessionRequest(user_id="me"), **bearer(token))
        assert (await expect_error(call)).code == grpc.StatusCode.INTERNAL.name
    assert len(served) == 1


@asynccontextmanager
async def _relay(port: int, to_port: int) -> AsyncIterator[None]:
    """Forwards the connections to one port to another port."""
    server = await asyncio.start_server(partial(_forward, to_port), "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()


async def _forward(to_port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", to_port)
    await asyncio.gather(
        _copy(reader, upstream_writer), _copy(upstream_reader, writer), return_exceptions=True
    )


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
