"""Errors and translations of the gateway in each protocol."""

import base64
import json
import struct
import uuid
from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx2 as httpx
import pytest
import pytest_asyncio
from google.rpc.error_details_pb2 import RetryInfo

from chassis.testing import bearer, expect_error
from meno.chat.v1.chat_service_pb2 import AskRequest
from meno.chat.v1.chat_service_pb2_grpc import ChatServiceStub
from meno.content.v1.resources_pb2 import Material
from meno.identity.v1.resources_pb2 import User
from meno.identity.v1.user_service_pb2 import GetUserRequest
from meno.identity.v1.user_service_pb2_grpc import UserServiceStub
from tests.gateway.gateway_client import (
    CLASS,
    SIGN_INS,
    GatewayClient,
    authorized,
    call_until_rejected,
    limit_sign_ins,
    reason,
    start_gateway,
)


@pytest_asyncio.fixture(scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GatewayClient]:
    """A gateway with a low rate limit of SignIn and one trusted proxy."""
    directory = tmp_path_factory.mktemp("gateway")
    async with start_gateway(directory, modify=limit_sign_ins, trusted_proxies=1) as started:
        yield started


async def test_json_and_grpc_errors_have_the_same_reasons(
    gateway: GatewayClient, http: httpx.AsyncClient, token: str
) -> None:
    expired = gateway.env.issuer.token(str(uuid.uuid4()), lifetime=-100)
    cases = [
        (None, 401, "UNAUTHENTICATED", "TOKEN_MISSING"),
        ("nonsense", 401, "UNAUTHENTICATED", "TOKEN_INVALID"),
        (expired, 401, "UNAUTHENTICATED", "TOKEN_EXPIRED"),
        (_with_unknown_key(token), 401, "UNAUTHENTICATED", "TOKEN_INVALID"),
        (token, 403, "PERMISSION_DENIED", "ACCESS_DENIED"),
    ]
    stub = UserServiceStub(gateway.channel)
    user_id = str(uuid.uuid4())
    for sent, status, code, expected in cases:
        reply = await http.get(f"/v1/users/{user_id}", headers=authorized(sent) if sent else {})
        assert (reply.status_code, reason(reply)) == (status, expected)
        options = bearer(sent) if sent else {}
        denied = await expect_error(stub.GetUser(GetUserRequest(user_id=user_id), **options))
        assert (denied.code, denied.reason) == (code, expected)


def _with_unknown_key(token: str) -> str:
    """Returns the token with the id of an unpublished key."""
    header = {"alg": "ES256", "typ": "at+jwt", "kid": "unknown"}
    encoded = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    return f"{encoded}.{token.partition('.')[2]}"


async def test_oversized_headers_have_a_json_error(http: httpx.AsyncClient, token: str) -> None:
    headers = {**authorized(token), "x-filler": "x" * 31 * 1024}
    reply = await http.get("/v1/users/me", headers=headers)
    assert (reply.status_code, reason(reply)) == (431, "MESSAGE_TOO_LARGE")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "expected"),
    [
        ("GET", "/v1/nothing", None, 404, "METHOD_NOT_FOUND"),
        ("PUT", "/v1/users/me", "{}", 404, "METHOD_NOT_FOUND"),
        ("GET", "/v1/users/me?colour=red", None, 400, "REQUEST_MALFORMED"),
        ("POST", "/v1/classes", "{", 400, "REQUEST_MALFORMED"),
        ("POST", "/v1/classes", '{"title": 7}', 400, "REQUEST_MALFORMED"),
        ("POST", "/v1/classes", '{"title": ""}', 400, "FIELD_INVALID"),
        ("PATCH", "/v1/users/me", '{"user_id": "somebody else"}', 400, "REQUEST_MALFORMED"),
    ],
)
async def test_invalid_input_has_a_json_error(
    http: httpx.AsyncClient, token: str, method: str, path: str, body: str | None, status: int, expected: str
) -> None:
    reply = await http.request(method, path, content=body, headers=authorized(token))
    assert (reply.status_code, reason(reply)) == (status, expected)


async def test_a_denied_caller_learns_whom_the_method_permits(
    gateway: GatewayClient, http: httpx.AsyncClient
) -> None:
    token = gateway.env.issuer.token(str(uuid.uuid4()), role="STUDENT", classes={CLASS: "STUDENT"})
    expected = (
        "Permission denied, or the resource does not exist. Permitted callers: users with the global role TEACHER; "
        "or users with the global role ADMIN. Refresh the access token if the permission is new."
    )
    reply = await http.post("/v1/classes", json={"title": "A"}, headers=authorized(token))
    assert (reply.status_code, reply.json()["message"]) == (403, expected)
    call: Any = gateway.channel.unary_unary("/meno.identity.v1.ClassService/CreateClass")
    denied = await expect_error(call(b"", **bearer(token)))
    assert (denied.reason, denied.status.message) == ("ACCESS_DENIED", expected)


async def test_an_rpc_only_for_services_is_not_routed(gateway: GatewayClient, token: str) -> None:
    path = "/meno.access.v1.AccountFeedService/WatchAccountEvents"
    call: Any = gateway.channel.unary_unary(path)
    denied = await expect_error(call(b"", **bearer(token)))
    assert (denied.code, denied.reason) == ("PERMISSION_DENIED", "ACCESS_DENIED")


@pytest.mark.parametrize(
    "path",
    ["/meno.identity.v1.UserService/Nothing", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"],
)
async def test_an_unknown_grpc_method_is_unimplemented(gateway: GatewayClient, token: str, path: str) -> None:
    call: Any = gateway.channel.unary_unary(path)
    for options in ({}, bearer(token)):
        missing = await expect_error(call(b"", **options))
        assert (missing.code, missing.reason) == ("UNIMPLEMENTED", "METHOD_NOT_FOUND")


async def test_a_refused_token_does_not_repeat_the_request(http: httpx.AsyncClient) -> None:
    for headers in ({}, authorized("nonsense")):
        reply = await http.get("/v1/users/me", headers={**headers, "host": "evil.example"})
        assert (reply.status_code, reply.headers["www-authenticate"]) == (401, 'Bearer realm="meno"')


async def test_a_malformed_body_names_the_page_with_the_valid_values(
    http: httpx.AsyncClient, token: str
) -> None:
    reply = await http.post("/v1/users/me/sessions", json={"classId": [1]}, headers=authorized(token))
    assert (reply.status_code, reason(reply)) == (400, "REQUEST_MALFORMED")
    assert "see /docs" in reply.json()["message"]


async def test_a_public_rpc_ignores_an_expired_token(gateway: GatewayClient, http: httpx.AsyncClient) -> None:
    expired = gateway.env.issuer.token(str(uuid.uuid4()), lifetime=-100)
    body = {"identifier": "somebody", "password": "something"}
    reply = await http.post("/v1/auth:signIn", json=body, headers=authorized(expired))
    assert reply.status_code == 200


async def test_a_stream_is_sent_as_server_sent_events(http: httpx.AsyncClient, token: str) -> None:
    path = f"/v1/users/me/sessions/{uuid.uuid4()}/events:watch"
    reply = await http.get(path, headers=authorized(token))
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.text.startswith("data: {")


async def test_a_file_is_uploaded_in_one_http_request(http: httpx.AsyncClient, token: str) -> None:
    path = f"/v1/classes/{CLASS}/materials:upload"
    headers = {**authorized(token), "content-type": "application/pdf"}
    reply = await http.post(path, params={"fileName": "a.pdf"}, content=b"x" * 20_000_000, headers=headers)
    assert (reply.status_code, set(reply.json())) == (200, set(_json_names(Material())))


async def test_a_request_that_is_too_large_gets_an_error(http: httpx.AsyncClient, token: str) -> None:
    # The address of the other tests would exceed its limit of JSON.
    headers = {**authorized(token), "x-forwarded-for": "203.0.113.1"}
    for mebibytes, status, expected in (
        (0.2, 400, "FIELD_INVALID"),
        (7, 400, "MESSAGE_TOO_LARGE"),
        (9, 413, "MESSAGE_TOO_LARGE"),
        (15, 413, "MESSAGE_TOO_LARGE"),
    ):
        body = json.dumps({"title": "x" * int(mebibytes * 1024 * 1024)})
        reply = await http.post("/v1/classes", content=body, headers=headers)
        assert (reply.status_code, reason(reply)) == (status, expected)
        if status == 400 and expected == "MESSAGE_TOO_LARGE":
            assert reply.json()["message"] == "The request must not be larger than 256 KiB."


async def test_grpc_web_is_supported(gateway: GatewayClient, http: httpx.AsyncClient, token: str) -> None:
    message = GetUserRequest(user_id="me").SerializeToString()
    headers = {**authorized(token), "content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
    url = "/meno.identity.v1.UserService/GetUser"
    reply = await http.post(url, content=_frame(message), headers=headers)
    assert reply.content.startswith(_frame(User().SerializeToString()))
    assert b"grpc-status:0" in reply.content.replace(b" ", b"")
    denied = await http.post(url, content=_frame(message), headers={**headers, "authorization": "Bearer x"})
    assert denied.headers["grpc-status"] == "16"


async def test_only_allowed_origins_may_call_from_a_browser(http: httpx.AsyncClient) -> None:
    for origin, allowed in (("https://learn.example.org", True), ("https://evil.example.org", False)):
        headers = {"origin": origin, "access-control-request-method": "GET"}
        reply = await http.options("/v1/users/me", headers=headers)
        assert (reply.headers.get("access-control-allow-origin") == origin) is allowed


async def test_a_preflight_is_never_an_unknown_method(http: httpx.AsyncClient) -> None:
    headers = {"origin": "https://evil.example.org", "access-control-request-method": "PATCH"}
    for path in ("/v1/users/me", "/v1/nothing", "/docs"):
        reply = await http.options(path, headers=headers)
        assert (reply.status_code, reply.text) == (200, "")
        assert "access-control-allow-origin" not in reply.headers


async def test_a_browser_may_send_its_trace(http: httpx.AsyncClient) -> None:
    headers = {
        "origin": "https://learn.example.org",
        "access-control-request-method": "GET",
        "access-control-request-headers": "traceparent, tracestate",
    }
    reply = await http.options("/v1/users/me", headers=headers)
    assert {"traceparent", "tracestate"} <= {*reply.headers["access-control-allow-headers"].split(", ")}


@pytest.mark.parametrize(
    "path",
    ["/v1/users/me", "/v1/users/someone-else", "/v1/nothing", f"/v1/users/me/sessions/{CLASS}/events:watch"],
)
async def test_no_response_may_be_stored(http: httpx.AsyncClient, token: str, path: str) -> None:
    reply = await http.get(path, headers=authorized(token))
    assert reply.headers["cache-control"] == "no-store, no-transform"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["x-accel-buffering"] == "no"


async def test_a_user_may_ask_20_times_a_minute(gateway: GatewayClient, token: str) -> None:
    stub = ChatServiceStub(gateway.channel)
    request = AskRequest(user_id="me", chat_id=str(uuid.uuid4()), text="Why?")

    async def ask(_: int) -> str:
        return await _outcome(stub.Ask(request, **bearer(token)))

    allowed, last = await call_until_rejected(ask, attempts=100)
    assert (allowed >= 20, last) == (True, "RESOURCE_EXHAUSTED")
    denied = await expect_error(stub.Ask(request, **bearer(token)))
    assert (denied.code, denied.reason) == ("RESOURCE_EXHAUSTED", "RATE_LIMITED")
    assert denied.detail(RetryInfo).retry_delay.seconds > 0
    other = gateway.env.issuer.token(str(uuid.uuid4()))
    assert await _outcome(stub.Ask(request, **bearer(other))) == "OK"


async def test_sign_ins_are_limited_by_address(http: httpx.AsyncClient) -> None:
    body = {"identifier": "somebody", "password": "something"}

    async def sign_in(_: int) -> str:
        reply = await http.post("/v1/auth:signIn", json=body)
        if reply.is_success:
            return "OK"
        assert (reply.status_code, int(reply.headers["retry-after"]) > 0) == (429, True)
        return reason(reply)

    # Another test of this file signs in once.
    allowed, last = await call_until_rejected(sign_in, attempts=5 * SIGN_INS)
    assert (allowed >= SIGN_INS - 1, last) == (True, "RATE_LIMITED")


async def test_every_response_has_a_request_id(http: httpx.AsyncClient, token: str) -> None:
    reply = await http.get(
        "/v1/users/me", headers={**authorized(token), "x-request-id": "chosen by the client"}
    )
    assert uuid.UUID(reply.headers["x-request-id"])


async def _outcome(call: Any) -> str:
    try:
        async for _ in call:
            pass
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


def _frame(message: bytes) -> bytes:
    return struct.pack(">BI", 0, len(message)) + message


def _json_names(message: Any) -> list[str]:
    return [field.json_name for field in message.DESCRIPTOR.fields if field.message_type is None]
