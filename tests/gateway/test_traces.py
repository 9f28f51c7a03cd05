"""Every call has an id and a trace of its own, under which gateway and services log it."""

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

from chassis.peers import forwarded
from chassis.testing import bearer
from meno.identity.v1.user_service_pb2 import GetUserRequest
from meno.identity.v1.user_service_pb2_grpc import UserServiceStub
from tests.gateway.front import Front
from tests.gateway.front import front as start_front

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACE_PARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-(0[01])")
SECRET = "a-secret-in-the-query"


class Seen:
    """What a service got, bound for its log, and would hand on."""

    def __init__(self) -> None:
        self.metadata: dict[str, Any] = {}
        self.bound: dict[str, Any] = {}
        self.handed_on: dict[str, Any] = {}

    def look(self, context: Any) -> None:
        self.metadata = dict(context.invocation_metadata())
        self.bound = structlog.contextvars.get_contextvars()
        self.handed_on = dict(forwarded()["metadata"])


class Collector(grpc.GenericRpcHandler):
    """Takes whatever is reported, as bytes."""

    def __init__(self) -> None:
        self.reports: asyncio.Queue[bytes] = asyncio.Queue()

    def service(self, handler_call_details: Any) -> Any:
        async def export(report: bytes, context: Any) -> bytes:
            await self.reports.put(report)
            return b""

        return grpc.unary_unary_rpc_method_handler(export)


@pytest.fixture(scope="module")
def seen() -> Seen:
    return Seen()


@pytest_asyncio.fixture(scope="module")
async def collector() -> AsyncIterator[tuple[Collector, str]]:
    server, handler = grpc.aio.server(), Collector()
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield handler, f"127.0.0.1:{port}"
    await server.stop(None)


@pytest_asyncio.fixture(scope="module")
async def front(tmp_path_factory: pytest.TempPathFactory, seen: Seen) -> AsyncIterator[Front]:
    """A gateway that reports to nobody."""
    async with start_front(tmp_path_factory.mktemp("front"), answers={"GetUser": seen.look}) as front:
        yield front


async def call(front: Front, *headers: tuple[str, str]) -> str:
    """Makes a call with these headers; returns the id that its answer names."""
    token = bearer(front.env.issuer.token(str(uuid.uuid4())))
    how: Any = {"metadata": (*token["metadata"], *headers)}
    made: Any = UserServiceStub(front.channel).GetUser(GetUserRequest(user_id="me"), **how)
    await made
    return str(dict(await made.initial_metadata())["x-request-id"])


async def line(front: Front, request_id: str) -> dict[str, Any]:
    """What the access log says of a call."""
    count = 1
    while True:
        lines = await front.logged(count)
        found = [one for one in lines if one["request_id"] == request_id]
        if found:
            return found[0]
        count = len(lines) + 1


async def test_a_call_begins_a_trace_under_which_everybody_logs_it(front: Front, seen: Seen) -> None:
    request_id = await call(front)
    match = TRACE_PARENT.fullmatch(seen.metadata["traceparent"])
    assert match is not None
    assert match[3] == "00", "nobody is told to report it"
    logged = await line(front, request_id)
    assert logged["trace_id"] == seen.bound["trace_id"] == match[1]
    assert logged["request_id"] == seen.bound["request_id"] == request_id
    assert seen.handed_on["traceparent"] == seen.metadata["traceparent"]
    assert seen.handed_on["x-request-id"] == request_id


async def test_a_call_goes_on_with_the_trace_of_its_caller(front: Front, seen: Seen) -> None:
    request_id = await call(front, ("traceparent", f"00-{TRACE}-{SPAN}-01"), ("tracestate", "vendor=1"))
    match = TRACE_PARENT.fullmatch(seen.metadata["traceparent"])
    assert match is not None
    assert (match[1], match[2] != SPAN, match[3]) == (TRACE, True, "00")
    assert seen.bound["trace_id"] == TRACE
    assert (await line(front, request_id))["trace_id"] == TRACE


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
async def test_a_hostile_trace_does_no_harm(front: Front, seen: Seen, sent: str) -> None:
    request_id = await call(
        front,
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
    assert TRACE_PARENT.fullmatch(seen.handed_on["traceparent"])
    assert seen.handed_on.keys() == {"x-request-id", "traceparent", "authorization"}
    logged = await line(front, request_id)
    assert logged["trace_id"] in {None, seen.bound["trace_id"]}


@pytest.mark.parametrize("sent", ["mine", "x" * 6000, 'x", "user_id": "somebody else', str(uuid.UUID(int=0))])
async def test_nobody_chooses_the_id_of_a_call(front: Front, seen: Seen, sent: str) -> None:
    request_id = await call(front, ("x-request-id", sent))
    assert request_id != sent
    # Random throughout: no digit of it tells whether the call is traced.
    assert uuid.UUID(request_id).version == 4
    assert seen.bound["request_id"] == request_id


async def test_an_operator_may_have_traces_reported(
    tmp_path_factory: pytest.TempPathFactory, collector: tuple[Collector, str]
) -> None:
    handler, address = collector
    directory = tmp_path_factory.mktemp("front")
    async with start_front(directory, trace_collector=address, traced_percent=100.0) as front:
        token = front.env.issuer.token(str(uuid.uuid4()))
        headers = {"authorization": f"Bearer {token}", "traceparent": f"00-{TRACE}-{SPAN}-00"}
        async with httpx.AsyncClient(base_url=f"http://{front.address}", headers=headers) as http:
            # Five spans are reported at once, fewer only after a while.
            for _ in range(5):
                reply = await http.get("/v1/users/me/sessions", params={"pageToken": SECRET})
                assert reply.status_code == 200
        report = b""
        async with asyncio.timeout(20):
            while bytes.fromhex(TRACE) not in report:
                report = await handler.reports.get()
    assert b"/meno.session.v1.SessionService/ListSessions" in report
    assert SECRET.encode() not in report
    assert token.encode() not in report
