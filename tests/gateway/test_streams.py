"""A stream without messages has its status and headers at once in every protocol, and a refused one its own."""

import asyncio
import struct
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import httpx2 as httpx
import pytest
import pytest_asyncio

from chassis.testing import bearer, expect_error
from meno.session.v1.event_service_pb2 import WatchEventsRequest
from meno.session.v1.event_service_pb2_grpc import EventServiceStub
from tests.gateway.gateway_client import GatewayClient, free_ports, start_gateway

SESSION = str(uuid.uuid4())
GRPC_PATH = "/meno.session.v1.EventService/WatchEvents"


async def wait_forever(context: Any) -> None:
    await asyncio.Event().wait()


@pytest_asyncio.fixture(scope="module")
async def gateway(tmp_path_factory: Any) -> AsyncIterator[GatewayClient]:
    """A gateway with streams on which nothing happens."""
    hooks = {"WatchEvents": wait_forever}
    async with start_gateway(tmp_path_factory.mktemp("gateway"), hooks=hooks) as started:
        yield started


async def test_a_quiet_stream_has_its_headers_in_json(
    gateway: GatewayClient, http: httpx.AsyncClient
) -> None:
    headers = {"authorization": f"Bearer {gateway.env.issuer.token(str(uuid.uuid4()))}"}
    async with http.stream("GET", f"/v1/users/me/sessions/{SESSION}/events:watch", headers=headers) as reply:
        assert reply.status_code == 200
        assert reply.headers["content-type"].startswith("text/event-stream")
        assert reply.headers["x-accel-buffering"] == "no"


async def test_a_quiet_stream_has_its_headers_in_grpc_web(
    gateway: GatewayClient, http: httpx.AsyncClient
) -> None:
    headers = {
        "authorization": f"Bearer {gateway.env.issuer.token(str(uuid.uuid4()))}",
        "content-type": "application/grpc-web+proto",
        "x-grpc-web": "1",
    }
    message = WatchEventsRequest(user_id="me", session_id=SESSION).SerializeToString()
    content = struct.pack(">BI", 0, len(message)) + message
    async with http.stream("POST", GRPC_PATH, content=content, headers=headers) as reply:
        assert reply.status_code == 200
        assert reply.headers["content-type"] == "application/grpc-web+proto"
        assert "grpc-status" not in reply.headers


async def test_a_quiet_stream_has_its_headers_in_grpc(gateway: GatewayClient) -> None:
    request = WatchEventsRequest(user_id="me", session_id=SESSION)
    call = EventServiceStub(gateway.channel).WatchEvents(
        request, **bearer(gateway.env.issuer.token(str(uuid.uuid4())))
    )
    metadata = dict(await call.initial_metadata())
    assert "x-request-id" in metadata
    assert not call.done()
    call.cancel()


async def test_a_stream_whose_service_dies_ends_without_a_step(tmp_path: Path) -> None:
    """Envoy cannot send a status after the headers. docs/api.md tells clients to resume such a stream."""
    [port] = free_ports(1)
    relays: list[asyncio.StreamWriter] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target, service = await asyncio.open_connection("127.0.0.1", started.server_ports["session_service"])
        relays.append(writer)
        await asyncio.gather(copy(reader, service), copy(target, writer), return_exceptions=True)

    hooks = {"WatchEvents": wait_forever}
    async with start_gateway(tmp_path, hooks=hooks, connect_to={"session_service": port}) as started:
        server = await asyncio.start_server(relay, "127.0.0.1", port)
        request = WatchEventsRequest(user_id="me", session_id=SESSION)
        call = EventServiceStub(started.channel).WatchEvents(
            request, **bearer(started.env.issuer.token(str(uuid.uuid4())))
        )
        await call.initial_metadata()
        server.close()
        for writer in relays:
            writer.transport.abort()
        with pytest.raises(grpc.aio.AioRpcError) as cut:
            await anext(aiter(call))
        assert cut.value.code() is grpc.StatusCode.INTERNAL
        assert "grpc-status-details-bin" not in dict(cut.value.trailing_metadata() or ())


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


async def test_a_refused_stream_has_the_status_of_its_refusal(
    gateway: GatewayClient, http: httpx.AsyncClient
) -> None:
    token = gateway.env.issuer.token(str(uuid.uuid4()))
    headers = {"authorization": f"Bearer {token}"}
    stub = EventServiceStub(gateway.channel)
    for user_id, session_id, status, reason in (
        (str(uuid.uuid4()), SESSION, 403, "ACCESS_DENIED"),
        ("me", "no-uuid", 400, "FIELD_INVALID"),
    ):
        reply = await http.get(f"/v1/users/{user_id}/sessions/{session_id}/events:watch", headers=headers)
        assert (reply.status_code, reply.json()["details"][0]["reason"]) == (status, reason)
        request = WatchEventsRequest(user_id=user_id, session_id=session_id)
        assert (await expect_error(stub.WatchEvents(request, **bearer(token)))).reason == reason
