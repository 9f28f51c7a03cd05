"""What a caller sees when the gateway refuses, or translates, in each protocol."""

import asyncio
import base64
import json
import struct
import uuid
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
from tests.gateway.front import Front

CLASS = "018f0000-0000-7000-8000-0000000000c1"


@pytest_asyncio.fixture(scope="module")
async def http(front: Front) -> Any:
    async with httpx.AsyncClient(base_url=f"http://{front.address}") as client:
        yield client


@pytest.fixture
def token(front: Front) -> str:
    """Of a person whom no other test knows, so that no other test uses up their calls."""
    return front.env.issuer.token(str(uuid.uuid4()), role="TEACHER", classes={CLASS: "TEACHER"})


def authorized(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def reason(reply: httpx.Response) -> str:
    """The reason of a JSON error, which has a code, a message and details and nothing else."""
    body = reply.json()
    assert set(body) == {"code", "message", "details"}
    assert body["message"]
    [info] = [detail for detail in body["details"] if detail["@type"].endswith("google.rpc.ErrorInfo")]
    assert info["domain"] == "meno"
    return str(info["reason"])


async def test_json_and_grpc_name_the_same_refusals(
    front: Front, http: httpx.AsyncClient, token: str
) -> None:
    expired = front.env.issuer.token(str(uuid.uuid4()), lifetime=-100)
    cases = [
        (None, 401, "UNAUTHENTICATED", "TOKEN_MISSING"),
        ("nonsense", 401, "UNAUTHENTICATED", "TOKEN_INVALID"),
        (expired, 401, "UNAUTHENTICATED", "TOKEN_EXPIRED"),
        (_of_unknown_key(token), 401, "UNAUTHENTICATED", "TOKEN_INVALID"),
        (token, 403, "PERMISSION_DENIED", "ACCESS_DENIED"),
    ]
    stub = UserServiceStub(front.channel)
    somebody = str(uuid.uuid4())
    for sent, status, code, why in cases:
        reply = await http.get(f"/v1/users/{somebody}", headers=authorized(sent) if sent else {})
        assert (reply.status_code, reason(reply)) == (status, why)
        how = bearer(sent) if sent else {}
        denied = await expect_error(stub.GetUser(GetUserRequest(user_id=somebody), **how))
        assert (denied.code, denied.reason) == (code, why)


def _of_unknown_key(token: str) -> str:
    """The token under the id of a key that nobody has published."""
    header = {"alg": "ES256", "typ": "at+jwt", "kid": "nobody's"}
    encoded = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    return f"{encoded}.{token.partition('.')[2]}"


async def test_headers_beyond_what_services_take_are_refused_in_our_words(
    http: httpx.AsyncClient, token: str
) -> None:
    headers = {**authorized(token), "x-filler": "x" * 31 * 1024}
    reply = await http.get("/v1/users/me", headers=headers)
    assert (reply.status_code, reason(reply)) == (431, "MESSAGE_TOO_LARGE")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "why"),
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
async def test_bad_input_gets_a_clear_json_error(
    http: httpx.AsyncClient, token: str, method: str, path: str, body: str | None, status: int, why: str
) -> None:
    reply = await http.request(method, path, content=body, headers=authorized(token))
    assert (reply.status_code, reason(reply)) == (status, why)


async def test_an_rpc_for_services_alone_is_not_routed(front: Front, token: str) -> None:
    path = "/meno.access.v1.AccountFeedService/WatchAccountEvents"
    call: Any = front.channel.unary_unary(path)
    denied = await expect_error(call(b"", **bearer(token)))
    assert (denied.code, denied.reason) == ("PERMISSION_DENIED", "ACCESS_DENIED")


async def test_a_public_rpc_ignores_an_expired_token(front: Front, http: httpx.AsyncClient) -> None:
    expired = front.env.issuer.token(str(uuid.uuid4()), lifetime=-100)
    body = {"identifier": "somebody", "password": "something"}
    reply = await http.post("/v1/auth:signIn", json=body, headers=authorized(expired))
    assert reply.status_code == 200


async def test_a_stream_comes_as_server_sent_events(http: httpx.AsyncClient, token: str) -> None:
    path = f"/v1/users/me/sessions/{uuid.uuid4()}/events:watch"
    reply = await http.get(path, headers=authorized(token))
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.text.startswith("data: {")


async def test_a_file_is_uploaded_in_one_http_request(http: httpx.AsyncClient, token: str) -> None:
    path = f"/v1/classes/{CLASS}/materials:upload"
    headers = {**authorized(token), "content-type": "application/pdf"}
    reply = await http.post(path, params={"fileName": "a.pdf"}, content=b"x" * 20_000_000, headers=headers)
    assert (reply.status_code, set(reply.json())) == (200, set(_json_names(Material())))


async def test_a_request_of_nearly_8_mib_passes_the_transcoder(http: httpx.AsyncClient, token: str) -> None:
    body = json.dumps({"title": "x" * 3_900_000})
    reply = await http.post("/v1/classes", content=body, headers=authorized(token))
    assert (reply.status_code, reason(reply)) == (400, "FIELD_INVALID")
    body = json.dumps({"title": "x" * 8 * 1024 * 1024})
    reply = await http.post("/v1/classes", content=body, headers=authorized(token))
    assert (reply.status_code, reason(reply)) == (400, "MESSAGE_TOO_LARGE")


async def test_browsers_speak_grpc_web(front: Front, http: httpx.AsyncClient, token: str) -> None:
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


async def test_a_person_may_ask_twenty_times_a_minute(front: Front, token: str) -> None:
    stub = ChatServiceStub(front.channel)
    request = AskRequest(user_id="me", chat_id=str(uuid.uuid4()), text="Why?")
    outcomes = [await _outcome(stub.Ask(request, **bearer(token))) for _ in range(25)]
    assert outcomes[:20] == ["OK"] * 20
    denied = await expect_error(stub.Ask(request, **bearer(token)))
    assert (denied.code, denied.reason) == ("RESOURCE_EXHAUSTED", "RATE_LIMITED")
    assert denied.detail(RetryInfo).retry_delay.seconds > 0
    other = front.env.issuer.token(str(uuid.uuid4()))
    assert await _outcome(stub.Ask(request, **bearer(other))) == "OK"


async def test_sign_ins_are_counted_by_address(http: httpx.AsyncClient) -> None:
    body = {"identifier": "somebody", "password": "something"}
    for _ in range(50):
        replies = await asyncio.gather(*(http.post("/v1/auth:signIn", json=body) for _ in range(50)))
        refusals = [reply for reply in replies if reply.status_code != 200]
        if refusals:
            break
    assert {(reply.status_code, reason(reply)) for reply in refusals} == {(429, "RATE_LIMITED")}
    assert all(int(reply.headers["retry-after"]) > 0 for reply in refusals)


async def test_every_answer_carries_its_request_id(http: httpx.AsyncClient, token: str) -> None:
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
