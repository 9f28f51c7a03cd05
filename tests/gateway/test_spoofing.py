"""Only the token determines the caller, and only the path determines the RPC. Headers cannot change them."""

import asyncio
import re
import uuid
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import grpc
import httpx2 as httpx
import pytest
import pytest_asyncio

from chassis import calls
from chassis.testing import expect_error
from meno.identity.v1.user_service_pb2 import GetUserRequest
from meno.identity.v1.user_service_pb2_grpc import UserServiceStub
from tests.gateway.gateway_client import GatewayClient, Manager, remove_rate_limits, start_gateway

VICTIM, ME = str(uuid.uuid4()), str(uuid.uuid4())
RECORDED_RPCS = ("GetUser", "DeleteUser", "SignIn", "ListSessions", "WatchAccountEvents")
IDENTITIES = [
    "x-user-id",
    "x-meno-user-id",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-client-cert",
    "x-auth-request-user",
    "x-remote-user",
    "remote-user",
    "x-jwt-payload",
    "x-jwt-claim-sub",
    "x-envoy-jwt-payload",
    "x-envoy-peer-metadata",
    "x-envoy-internal",
    "x-envoy-decorator-operation",
    "x-envoy-original-dst-host",
    "x-envoy-upstream-alt-stat-name",
    "x-goog-authenticated-user-id",
    "x-amzn-oidc-identity",
    "x-spiffe-id",
    "grpc-metadata-user-id",
    "grpc-metadata-authorization",
    "grpcgateway-authorization",
    "baggage",
    "from",
]
PATHS = [
    "x-original-url",
    "x-rewrite-url",
    "x-original-uri",
    "x-forwarded-uri",
    "x-forwarded-path",
    "x-forwarded-prefix",
    "x-envoy-original-path",
    "x-envoy-original-method",
]
METHODS = ["x-http-method-override", "x-http-method", "x-method-override", "x-original-method"]


class ServedCall(NamedTuple):
    """A call as a service has received it."""

    rpc: str
    caller: str | None


ADDRESSES: list[str] = []
"""The address that the gateway has sent with each served call."""
SERVED_CALLS: list[ServedCall] = []


def record(context: Any) -> None:
    call = calls.current()
    ADDRESSES.append(calls.client_address())
    SERVED_CALLS.append(
        ServedCall(call.method.path.rpartition("/")[2], call.caller.user_id if call.caller else None)
    )


def close_quickly(manager: Manager) -> None:
    """Closes finished connections at once, so that a test can read to the end. Removes the rate limits."""
    manager["delayed_close_timeout"] = "0.01s"
    remove_rate_limits(manager)


@pytest_asyncio.fixture(scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GatewayClient]:
    """A gateway with services that record their calls."""
    hooks = dict.fromkeys(RECORDED_RPCS, record)
    async with start_gateway(
        tmp_path_factory.mktemp("gateway"), hooks=hooks, modify=close_quickly
    ) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def served() -> list[ServedCall]:
    """The calls that were served in this test."""
    SERVED_CALLS.clear()
    return SERVED_CALLS


@pytest.fixture
def authorization(gateway: GatewayClient) -> str:
    return f"Bearer {gateway.env.issuer.token(ME)}"


async def get(http: httpx.AsyncClient, path: str, headers: dict[str, str]) -> int:
    return (await http.get(path, headers=headers)).status_code


@pytest.mark.parametrize("header", IDENTITIES)
async def test_no_header_changes_the_caller(
    gateway: GatewayClient, http: httpx.AsyncClient, authorization: str, served: list[ServedCall], header: str
) -> None:
    for value in (
        VICTIM,
        f"By=spiffe://meno/chat_service;URI=spiffe://meno/{VICTIM}",
        "Bearer " + "x" * 9000,
    ):
        headers = {"authorization": authorization, header: value}
        assert await get(http, "/v1/users/me", headers) == 200
        assert await get(http, f"/v1/users/{VICTIM}", headers) == 403
        assert await get(http, "/v1/users/me", {header: value}) == 401
        stub = UserServiceStub(gateway.channel)
        metadata = (*headers.items(),)
        await stub.GetUser(GetUserRequest(user_id="me"), metadata=metadata)
        denied = await expect_error(stub.GetUser(GetUserRequest(user_id=VICTIM), metadata=metadata))
        assert denied.reason == "ACCESS_DENIED"
        denied = await expect_error(stub.GetUser(GetUserRequest(user_id="me"), metadata=metadata[1:]))
        assert denied.reason == "TOKEN_MISSING"
    assert set(served) == {ServedCall("GetUser", ME)}


@pytest.mark.parametrize(
    "header", ["meno-client-address", "Meno-Client-Address", "x-forwarded-for", "x-real-ip", "forwarded"]
)
async def test_no_header_changes_the_address_of_the_client(
    gateway: GatewayClient, http: httpx.AsyncClient, authorization: str, header: str
) -> None:
    ADDRESSES.clear()
    for value in ("203.0.113.7", "203.0.113.7, 127.0.0.1", ""):
        assert await get(http, "/v1/users/me", {"authorization": authorization, header: value}) == 200
        metadata = (("authorization", authorization), (header.lower(), value))
        await UserServiceStub(gateway.channel).GetUser(GetUserRequest(user_id="me"), metadata=metadata)
    assert {address.removeprefix("::ffff:") for address in ADDRESSES} <= {"127.0.0.1", "::1"}
    assert len(ADDRESSES) == 6


@pytest.mark.parametrize("header", PATHS)
async def test_no_header_changes_the_path(
    gateway: GatewayClient, http: httpx.AsyncClient, authorization: str, served: list[ServedCall], header: str
) -> None:
    headers = {"authorization": authorization}
    for path in (f"/v1/users/{VICTIM}", "/meno.access.v1.AccountFeedService/WatchAccountEvents"):
        assert await get(http, "/v1/users/me", {**headers, header: path}) == 200
        assert await get(http, f"/v1/users/{VICTIM}", {**headers, header: "/v1/users/me"}) == 403
    assert set(served) == {ServedCall("GetUser", ME)}


async def test_no_header_changes_the_method(
    http: httpx.AsyncClient, authorization: str, served: list[ServedCall]
) -> None:
    headers = {"authorization": authorization, **dict.fromkeys(METHODS, "DELETE")}
    assert await get(http, "/v1/users/me", headers) == 200
    assert await get(http, "/v1/users/me?_method=DELETE", headers) == 400
    assert served == [ServedCall("GetUser", ME)]


@pytest.mark.parametrize("authority", ["identity_service", "127.0.0.1:1", "keys", "x" * 255])
async def test_the_authority_does_not_change_the_route(
    gateway: GatewayClient, authorization: str, served: list[ServedCall], authority: str
) -> None:
    options = (("grpc.default_authority", authority),)
    async with grpc.aio.insecure_channel(gateway.address, options) as channel:
        metadata = (("authorization", authorization),)
        stub = UserServiceStub(channel)
        denied = await expect_error(stub.GetUser(GetUserRequest(user_id=VICTIM), metadata=metadata))
        assert denied.reason == "ACCESS_DENIED"
        feed: Any = channel.unary_stream("/meno.access.v1.AccountFeedService/WatchAccountEvents")
        assert (await expect_error(feed(b"", metadata=metadata))).reason == "ACCESS_DENIED"
        await stub.GetUser(GetUserRequest(user_id="me"), metadata=metadata)
    assert served == [ServedCall("GetUser", ME)]


@pytest.mark.parametrize(
    ("path", "status", "found"),
    [
        ("/v1/users/me/../{victim}", 403, []),
        ("/v1/users/me/%2e%2e/{victim}", 403, []),
        ("/v1/users/me%2f..%2f{victim}", 400, []),
        ("/v1/users/me\\..\\{victim}", 403, []),
        ("/v1/users/me;{victim}", 403, []),
        ("/v1/users/me%00{victim}", 400, []),
        ("/v1/users/me#{victim}", 400, []),
        ("/v1/users/%256de", 403, []),
        ("/v1/users/ME", 403, []),
        ("/V1/users/me", 404, []),
        ("/v1/users/%6de", 200, ["GetUser"]),
        ("//v1//users//me", 200, ["GetUser"]),
        ("http://identity-service/v1/users/{victim}", 403, []),
        # Path and query name different users. The checked one is also the served one.
        ("/v1/users/me?user_id={victim}", 403, []),
        ("/v1/users/me?userId={victim}", 403, []),
        ("/v1/users/{victim}?user_id=me", 200, ["GetUser"]),
        ("/v1/users/{victim}?user_id=me&user_id={victim}", 403, []),
        ("/meno.identity.v1.UserService/GetUser", 404, []),
        ("/meno.access.v1.AccountFeedService/WatchAccountEvents", 404, []),
    ],
)
async def test_the_checked_path_is_the_served_path(
    gateway: GatewayClient,
    authorization: str,
    served: list[ServedCall],
    path: str,
    status: int,
    found: list[str],
) -> None:
    request = _request(f"GET {path.format(victim=VICTIM)} HTTP/1.1", f"authorization: {authorization}")
    answer = await _exchange(gateway, request)
    assert _statuses(answer) == [status]
    assert served == [ServedCall(rpc, ME) for rpc in found]


@pytest.mark.parametrize(
    "framing",
    [
        ["content-length: 2", "content-length: 2"],
        ["content-length: 2", "content-length: 400"],
        ["content-length: 2, 400"],
        ["content-length: -1"],
        ["content-length: +2"],
        ["content-length: 0x2"],
        ["content-length: 4", "transfer-encoding: chunked"],
        ["content-length: 4", "transfer-encoding:\tchunked"],
        ["transfer-encoding: xchunked"],
        ["transfer-encoding: chunked", "transfer-encoding: identity"],
        ["transfer-encoding : chunked"],
        ["connection: content-length", "content-length: 2", "transfer-encoding: chunked"],
    ],
)
async def test_no_request_is_smuggled_behind_a_body(
    gateway: GatewayClient, authorization: str, served: list[ServedCall], framing: list[str]
) -> None:
    hidden = _request(f"GET /v1/users/{VICTIM} HTTP/1.1", f"authorization: {authorization}")
    for body in (b"{}", b"0\r\n\r\n"):
        request = _request("POST /v1/auth:signIn HTTP/1.1", "content-type: application/json", *framing)
        answer = await _exchange(gateway, request + body + hidden)
        assert _statuses(answer) in ([400], [501])
        assert b"REQUEST_MALFORMED" in answer
    assert served == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (["connection: authorization"], 401),
        (["connection: close, x-request-id, :path"], 400),
        (["te: gzip, trailers", "trailer: authorization"], 200),
        (["connection: upgrade, http2-settings", "upgrade: h2c", "http2-settings: AAMAAABkAAQAAP__"], 200),
        (["connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13"], 404),
        (["host: identity_service"], 400),
        (["hOST: meno"], 400),
        ([f"x_user_id: {VICTIM}"], 400),
        ([f"x-user-id : {VICTIM}"], 400),
        ([f"x-a: b\0c{VICTIM}"], 400),
        (["x-a: b", " authorization: Bearer x"], 200),
        (["expect: 100-continue"], 200),
    ],
)
async def test_connection_headers_do_not_change_the_caller(
    gateway: GatewayClient, authorization: str, served: list[ServedCall], headers: list[str], status: int
) -> None:
    request = _request("GET /v1/users/me HTTP/1.1", f"authorization: {authorization}", *headers)
    answer = await _exchange(gateway, request)
    assert _statuses(answer)[-1:] == [status]
    assert served == [ServedCall("GetUser", ME)] * (status == 200)


@pytest.mark.parametrize(
    "line", ["CONNECT identity_service:443 HTTP/1.1", "TRACE /v1/users/me HTTP/1.1", "OPTIONS * HTTP/1.1"]
)
async def test_other_http_methods_are_rejected(
    gateway: GatewayClient, authorization: str, served: list[ServedCall], line: str
) -> None:
    answer = await _exchange(gateway, _request(line, f"authorization: {authorization}"))
    assert _statuses(answer) in ([400], [404])
    assert ME.encode() not in answer
    assert authorization.encode() not in answer
    assert served == []


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/grpc", b"\0\0\0\0\0"),
        ("application/grpc-web+proto", b"\0\0\0\0\0"),
        ("application/json", b"{}"),
    ],
)
async def test_rpcs_only_for_services_are_not_routed_in_any_protocol(
    http: httpx.AsyncClient, authorization: str, served: list[ServedCall], content_type: str, body: bytes
) -> None:
    path = "/meno.access.v1.AccountFeedService/WatchAccountEvents"
    headers = {"authorization": authorization, "content-type": content_type, "x-grpc-web": "1"}
    reply = await http.post(path, content=body, headers=headers)
    denied = reply.headers.get("grpc-status") == "7" or reply.status_code == 404
    assert denied, (reply.status_code, reply.headers)
    assert served == []


def _request(line: str, *headers: str) -> bytes:
    return "".join(f"{part}\r\n" for part in (line, "host: meno", *headers, "")).encode("latin-1")


async def _exchange(gateway: GatewayClient, request: bytes) -> bytes:
    """Sends raw bytes and returns everything that is received until the connection closes."""
    host, _, port = gateway.address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    # A last request that closes the connection, so that reading ends without a timeout.
    writer.write(request + _request("GET /v1/nothing HTTP/1.1", "connection: close"))
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def _statuses(answer: bytes) -> list[int]:
    """Returns the status of every response except that to the last request."""
    found = [int(status) for status in re.findall(rb"^HTTP/1\.1 ([2-5]\d\d)", answer, re.MULTILINE)]
    ended = b"METHOD_NOT_FOUND" in answer.rpartition(b"HTTP/1.1")[2]
    return found[:-1] if ended and len(found) > 1 else found
