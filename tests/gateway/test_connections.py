"""Idle connections and idle streams do not keep the gateway from answering others."""

import asyncio
import socket
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from chassis.testing import bearer, expect_error
from deploy.gateway import clusters, envoy
from meno.session.v1.event_service_pb2 import WatchEventsRequest, WatchEventsResponse
from meno.session.v1.event_service_pb2_grpc import EventServiceStub
from meno.session.v1.resources_pb2 import Event
from meno.session.v1.session_service_pb2 import GetSessionRequest
from meno.session.v1.session_service_pb2_grpc import SessionServiceStub
from tests.gateway.gateway_client import start_gateway
from tests.local_stack import GUARD_SECONDS

SESSION = str(uuid.uuid4())
STALLED = 100
"""Streams whose clients do not read."""


async def wait_forever(context: Any) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("sent", [b"", b"GET /v1/us"])
async def test_a_connection_without_a_request_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(envoy, "_CONNECTION_IDLE_TIMEOUT", "3600s")
    monkeypatch.setattr(envoy, "_FIRST_LINE_TIMEOUT", "0.2s")
    async with start_gateway(tmp_path) as gateway, asyncio.timeout(GUARD_SECONDS):
        reader, writer = await asyncio.open_connection(*gateway.address.split(":"))
        writer.write(sent)
        answer = b""
        # The gateway resets a connection of which it has not read everything.
        with suppress(ConnectionResetError):
            answer = await reader.read()
        writer.close()
        # On a very busy machine, the time for headers has ended a connection first.
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")


async def test_clients_that_do_not_read_do_not_stop_the_streams_of_others(tmp_path: Path) -> None:
    flooded = asyncio.Semaphore(0)

    async def flood(context: Any) -> None:
        if not dict(context.invocation_metadata()).get("x-flood"):
            return
        flooded.release()
        event = Event(client_event_id="x" * 2**18)
        while True:
            await context.write(WatchEventsResponse(event=event))

    async with (
        start_gateway(tmp_path, hooks={"WatchEvents": flood}) as gateway,
        asyncio.timeout(GUARD_SECONDS),
    ):
        host, port = gateway.address.split(":")
        stalled = []
        for number in range(STALLED):
            if number % 20 == 0:
                token = gateway.env.issuer.token(str(uuid.uuid4()))
            client = socket.create_connection((host, int(port)))
            stalled.append(client)
            request = f"GET /v1/users/me/sessions/{SESSION}/events:watch HTTP/1.1"
            headers = f"host: a\r\nx-flood: 1\r\nauthorization: Bearer {token}"
            client.sendall(f"{request}\r\n{headers}\r\n\r\n".encode())
            await flooded.acquire()
        watch = WatchEventsRequest(user_id="me", session_id=SESSION)
        stream = EventServiceStub(gateway.channel).WatchEvents(
            watch, **bearer(gateway.env.issuer.token(str(uuid.uuid4())))
        )
        assert [one async for one in stream] == [WatchEventsResponse()]
        for client in stalled:
            client.close()


async def test_streams_do_not_use_up_the_calls_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "_MAX_STREAMS", 2)
    async with start_gateway(tmp_path, hooks={"WatchEvents": wait_forever}) as gateway:
        options = bearer(gateway.env.issuer.token(str(uuid.uuid4())))
        watch = WatchEventsRequest(user_id="me", session_id=SESSION)
        events = EventServiceStub(gateway.channel)
        open_streams = [events.WatchEvents(watch, **options) for _ in range(2)]
        for stream in open_streams:
            await stream.initial_metadata()
        refused = await expect_error(events.WatchEvents(watch, **options))
        assert (refused.code, refused.reason) == ("UNAVAILABLE", "SERVICE_UNAVAILABLE")
        get = GetSessionRequest(user_id="me", session_id=SESSION)
        await SessionServiceStub(gateway.channel).GetSession(get, **options)
        for stream in open_streams:
            stream.cancel()
