"""Every call has a request id and a trace id, under which the gateway and the services log it."""

import asyncio
import re
import uuid
from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx2 as httpx
import pytest
import pytest_asyncio
import structlog

from chassis.peers import forwarded as forwarded_metadata
from chassis.testing import bearer
from meno.identity.v1.user_service_pb2 import GetUserRequest
from meno.identity.v1.user_service_pb2_grpc import UserServiceStub
from tests.gateway.gateway_client import GatewayClient, start_gateway
from tests.local_stack import GUARD_SECONDS

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACE_PARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-(0[01])")
SECRET = "a-secret-in-the-query"


class Recorder:
    """Records the metadata of a call, its log context, and the metadata of outgoing calls."""

    def __init__(self) -> None:
        self.metadata: dict[str, Any] = {}
        self.bound: dict[str, Any] = {}
        self.forwarded: dict[str, Any] = {}

    def record(self, context: Any) -> None:
        self.metadata = dict(context.invocation_metadata())
        self.bound = structlog.contextvars.get_contextvars()
        self.forwarded = dict(forwarded_metadata()["metadata"])


class Collector(grpc.GenericRpcHandler):
    """Receives reports as bytes."""

    def __init__(self) -> None:
        self.reports: asyncio.Queue[bytes] = asyncio.Queue()

    def service(self, handler_call_details: Any) -> Any:
        async def export(report: bytes, context: Any) -> bytes:
            await self.reports.put(report)
            return b""

        return grpc.unary_unary_rpc_method_handler(export)


@pytest.fixture(scope="module")
def seen() -> Recorder:
    return Recorder()


@pytest_asyncio.fixture(scope="module")
async def collector() -> AsyncIterator[tuple[Collector, str]]:
    server, handler = grpc.aio.server(), Collector()
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield handler, f"127.0.0.1:{port}"
    await server.stop(None)


@pytest_asyncio.fixture(scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory, seen: Recorder) -> AsyncIterator[GatewayClient]:
    """A gateway without a trace collector."""
    async with start_gateway(tmp_path_factory.mktemp("gateway"), hooks={"GetUser": seen.record}) as gateway:
        yield gateway


async def call(gateway: GatewayClient, *headers: tuple[str, str]) -> str:
    """Makes a call with headers. Returns the request id of the response."""
    token = bearer(gateway.env.issuer.token(str(uuid.uuid4())))
    options: Any = {"metadata": (*token["metadata"], *headers)}
    made: Any = UserServiceStub(gateway.channel).GetUser(GetUserRequest(user_id="me"), **options)
    await made
    return str(dict(await made.initial_metadata())["x-request-id"])


async def wait_for_line(gateway: GatewayClient, request_id: str) -> dict[str, Any]:
    """Returns the line of a call in the access log, as soon as it is written."""
    count = 1
    while True:
        lines = await gateway.read_access_log(count)
        found = [one for one in lines if one["request_id"] == request_id]
        if found:
            return found[0]
        count = len(lines) + 1


async def test_a_call_without_a_trace_starts_one(gateway: GatewayClient, seen: Recorder) -> None:
    request_id = await call(gateway)
    match = TRACE_PARENT.fullmatch(seen.metadata["traceparent"])
    assert match is not None
    assert match[3] == "00", "the sampled flag is not set"
    logged = await wait_for_line(gateway, request_id)
    assert logged["trace_id"] == seen.bound["trace_id"] == match[1]
    assert logged["request_id"] == seen.bound["request_id"] == request_id
    assert seen.forwarded["traceparent"] == seen.metadata["traceparent"]
    assert seen.forwarded["x-request-id"] == request_id


async def test_a_call_continues_the_trace_of_its_caller(gateway: GatewayClient, seen: Recorder) -> None:
    request_id = await call(gateway, ("traceparent", f"00-{TRACE}-{SPAN}-01"), ("tracestate", "vendor=1"))
    match = TRACE_PARENT.fullmatch(seen.metadata["traceparent"])
    assert match is not None
    assert (match[1], match[2] != SPAN, match[3]) == (TRACE, True, "00")
    assert seen.bound["trace_id"] == TRACE
    assert (await wait_for_line(gateway, request_id))["trace_id"] == TRACE


@pytest.mark.parametrize(
    "sent",
    [
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"01-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}",
        "00-{}-{}-01".format("../../etc/passwd".ljust(32, "x"), SPAN),
        'x", "user_id": "somebody else',
        "x" * 5000,
        "",
    ],
)
async def test_hostile_trace_headers_are_harmless(gateway: GatewayClient, seen: Recorder, sent: str) -> None:
    request_id = await call(
        gateway,
        ("traceparent", sent),
        ("tracestate", "a=b," * 500),
        ("baggage", "user_id=somebody-else,role=ADMIN," + "x" * 4000),
        ("x-b3-traceid", "1" * 32),
        ("x-client-trace-id", "x" * 1000),
        ("x-envoy-force-trace", "true"),
    )
    assert re.fullmatch("[0-9a-f]{32}", seen.bound["trace_id"])
    assert set(seen.bound["trace_id"]) != {"0"}
    assert seen.bound.keys() <= {"request_id", "trace_id", "service"}
    assert TRACE_PARENT.fullmatch(seen.forwarded["traceparent"])
    assert seen.forwarded.keys() == {"x-request-id", "traceparent", "authorization"}
    logged = await wait_for_line(gateway, request_id)
    assert logged["trace_id"] in {None, seen.bound["trace_id"]}


@pytest.mark.parametrize("sent", ["mine", "x" * 6000, 'x", "user_id": "somebody else', str(uuid.UUID(int=0))])
async def test_a_caller_cannot_choose_the_request_id(
    gateway: GatewayClient, seen: Recorder, sent: str
) -> None:
    request_id = await call(gateway, ("x-request-id", sent))
    assert request_id != sent
    # Version 4: the id does not encode whether the call is traced.
    assert uuid.UUID(request_id).version == 4
    assert seen.bound["request_id"] == request_id


async def test_traces_are_reported_to_a_collector(
    tmp_path_factory: pytest.TempPathFactory, collector: tuple[Collector, str]
) -> None:
    handler, address = collector
    directory = tmp_path_factory.mktemp("gateway")
    async with start_gateway(directory, trace_collector=address, traced_percent=100.0) as gateway:
        token = gateway.env.issuer.token(str(uuid.uuid4()))
        headers = {"authorization": f"Bearer {token}", "traceparent": f"00-{TRACE}-{SPAN}-00"}
        async with httpx.AsyncClient(
            base_url=f"http://{gateway.address}", timeout=GUARD_SECONDS, headers=headers
        ) as http:
            # Envoy reports five spans immediately, fewer only after a delay.
            for _ in range(5):
                reply = await http.get("/v1/users/me/sessions", params={"pageToken": SECRET})
                assert reply.status_code == 200
        report = b""
        async with asyncio.timeout(GUARD_SECONDS):
            while bytes.fromhex(TRACE) not in report:
                report = await handler.reports.get()
    assert b"/meno.session.v1.SessionService/ListSessions" in report
    assert SECRET.encode() not in report
    assert token.encode() not in report
