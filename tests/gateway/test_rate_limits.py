"""Rate limits and retry delays in every protocol."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import httpx2 as httpx
import pytest
import pytest_asyncio
from google.protobuf.json_format import MessageToJson
from google.rpc.error_details_pb2 import RetryInfo

from chassis.errors import DomainError, RateLimited, ServiceUnavailable
from chassis.testing import bearer, expect_error, parse_error
from deploy.gateway import limits
from deploy.gateway.contracts import descriptors, routed_rpcs
from meno.chat.v1.chat_service_pb2 import AskRequest
from meno.chat.v1.chat_service_pb2_grpc import ChatServiceStub
from meno.content.v1.material_service_pb2 import UploadMaterialRequest
from meno.identity.v1.user_service_pb2 import GetSettingsRequest, GetUserRequest
from meno.identity.v1.user_service_pb2_grpc import UserServiceStub
from tests.gateway.gateway_client import CLASS, GatewayClient, call_until_rejected, start_gateway
from tests.local_stack import GUARD_SECONDS

PER_PERSON, PER_ADDRESS = 30, 90
JSON_UNITS = 300
"""The units of an address in a second; 20 times as many are permitted at once."""
GUESTS = 60
"""Guest sign-ins a minute for each address, as in the contract."""


def raising(error: Callable[[], DomainError]) -> Callable[[Any], None]:
    def hook(context: Any) -> None:
        raise error()

    return hook


@pytest_asyncio.fixture(scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GatewayClient]:
    """A gateway with low rate limits, one trusted proxy, and services that return errors."""
    hooks = {
        "GetSettings": raising(ServiceUnavailable),
        "Ask": raising(RateLimited),
        "UploadMaterial": raising(ServiceUnavailable),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "PER_USER_PER_MINUTE", PER_PERSON)
        patch.setattr(limits, "PER_ADDRESS_PER_MINUTE", PER_ADDRESS)
        patch.setattr(limits, "JSON_UNITS_PER_SECOND", JSON_UNITS)
        async with start_gateway(
            tmp_path_factory.mktemp("gateway"), hooks=hooks, trusted_proxies=1
        ) as gateway:
            patch.undo()
            yield gateway


@pytest.fixture
def address() -> str:
    """A client address of only this test, in its own /64."""
    return f"2001:db8:2:{uuid.uuid4().hex[:4]}::1"


@pytest.fixture
def token(gateway: GatewayClient) -> str:
    return gateway.env.issuer.token(str(uuid.uuid4()), role="TEACHER", classes={CLASS: "TEACHER"})


def retry_in_json(reply: httpx.Response) -> tuple[int, str, int]:
    """Returns status, reason and retry delay of an error. Header and details must have the same delay."""
    info, retry = reply.json()["details"]
    assert retry["@type"] == "type.googleapis.com/google.rpc.RetryInfo"
    after = int(reply.headers["retry-after"])
    assert retry["retryDelay"] == f"{after}s"
    return reply.status_code, info["reason"], after


async def retry_in_grpc(call: Any) -> tuple[str, str, int]:
    denied = await expect_error(call)
    after = dict((*await call.initial_metadata(), *await call.trailing_metadata()))["retry-after"]
    assert denied.detail(RetryInfo).retry_delay.seconds == int(after)
    return denied.code, denied.reason, int(after)


async def test_temporary_errors_of_services_have_a_retry_delay(
    gateway: GatewayClient, http: httpx.AsyncClient, token: str, address: str
) -> None:
    headers = {"authorization": f"Bearer {token}", "x-forwarded-for": address}
    options: dict[str, Any] = {"metadata": (*headers.items(),)}
    chat, text = str(uuid.uuid4()), "Why?"
    body = {"text": text}
    upload_request = UploadMaterialRequest(class_id=CLASS, file_name="a.md")
    upload = f"/v1/classes/{CLASS}/materials:upload?fileName=a.md"
    call: Any = UserServiceStub(gateway.channel).GetSettings(GetSettingsRequest(user_id="me"), **options)
    assert await retry_in_grpc(call) == ("UNAVAILABLE", "SERVICE_UNAVAILABLE", 1)
    call = ChatServiceStub(gateway.channel).Ask(AskRequest(user_id="me", chat_id=chat, text=text), **options)
    assert await retry_in_grpc(call) == ("RESOURCE_EXHAUSTED", "RATE_LIMITED", 3)
    # As a unary request: with the stream API of grpc.aio, the call fails with INTERNAL if the server answers first.
    send: Any = gateway.channel.unary_unary("/meno.content.v1.MaterialService/UploadMaterial")
    call = send(upload_request.SerializeToString(), **options)
    assert await retry_in_grpc(call) == ("UNAVAILABLE", "SERVICE_UNAVAILABLE", 1)
    reply = await http.get("/v1/users/me/settings", headers=headers)
    assert retry_in_json(reply) == (503, "SERVICE_UNAVAILABLE", 1)
    reply = await http.post(f"/v1/users/me/chats/{chat}:ask", json=body, headers=headers)
    assert retry_in_json(reply) == (429, "RATE_LIMITED", 3)
    reply = await http.post(upload, content=b"a", headers={**headers, "content-type": "text/markdown"})
    assert retry_in_json(reply) == (503, "SERVICE_UNAVAILABLE", 1)


async def test_clients_retry_temporary_errors_of_services(gateway: GatewayClient) -> None:
    """With initial metadata, gRPC would not retry the call. The delay is in the trailers."""
    [rpc] = [rpc for rpc in routed_rpcs(descriptors()) if rpc.name == "GetSettings"]
    token = gateway.env.issuer.token(str(uuid.uuid4()))
    stub = UserServiceStub(gateway.direct(rpc))
    call: Any = stub.GetSettings(GetSettingsRequest(user_id="me"), **bearer(token))
    assert (await expect_error(call)).reason == "SERVICE_UNAVAILABLE"
    assert tuple(await call.initial_metadata()) == ()


@pytest.mark.parametrize("protocol", ["json", "grpc"])
async def test_the_limit_by_user_applies_across_addresses(
    gateway: GatewayClient, http: httpx.AsyncClient, token: str, protocol: str
) -> None:
    async def call(number: int) -> str:
        return await _get_user(gateway, http, protocol, token, f"2001:db8:1::{number}")

    allowed, last = await _call_until_rejected(call)
    assert (allowed >= PER_PERSON, last) == (True, "RATE_LIMITED 3")
    other = gateway.env.issuer.token(str(uuid.uuid4()))
    assert await _get_user(gateway, http, protocol, other, "2001:db8:1::1") == "OK"


@pytest.mark.parametrize("protocol", ["json", "grpc"])
async def test_the_limit_by_address_applies_across_users(
    gateway: GatewayClient, http: httpx.AsyncClient, address: str, protocol: str
) -> None:
    tokens = [gateway.env.issuer.token(str(uuid.uuid4())) for _ in range(10)]

    async def call(number: int) -> str:
        # The proxy appends the real address. The caller can choose the earlier ones.
        via = f"203.0.113.{number % 250}, {address}"
        return await _get_user(gateway, http, protocol, tokens[number % len(tokens)], via)

    allowed, last = await _call_until_rejected(call)
    assert (allowed >= PER_ADDRESS, last) == (True, "RATE_LIMITED 3")
    assert await _get_user(gateway, http, protocol, tokens[0], "2001:db8:3::1") == "OK"


@pytest.mark.parametrize(
    ("own", "other"),
    [("2001:db8:4:1:{0:x}::{0:x}", "2001:db8:4:2::1"), ("203.0.113.1", "203.0.113.2")],
    ids=["ipv6", "ipv4"],
)
async def test_addresses_are_counted_by_ipv4_address_or_ipv6_network(
    gateway: GatewayClient, http: httpx.AsyncClient, own: str, other: str
) -> None:
    tokens = [gateway.env.issuer.token(str(uuid.uuid4())) for _ in range(10)]

    async def call(number: int) -> str:
        return await _get_user(gateway, http, "json", tokens[number % len(tokens)], own.format(number))

    allowed, last = await _call_until_rejected(call)
    assert (allowed >= PER_ADDRESS, last) == (True, "RATE_LIMITED 3")
    assert await _get_user(gateway, http, "json", tokens[0], other) == "OK"


async def test_limits_of_contracts_count_by_ipv6_network(
    gateway: GatewayClient, http: httpx.AsyncClient, token: str
) -> None:
    """The limit of guest sign-ins is lower than the general limit, which still permits other calls."""

    async def sign_in(address: str) -> str:
        reply = await http.post("/v1/auth:signInAsGuest", json={}, headers={"x-forwarded-for": address})
        return "OK" if reply.is_success else reply.json()["details"][0]["reason"]

    async def call(number: int) -> str:
        return await sign_in(f"2001:db8:5:1::{number:x}")

    allowed, last = await _call_until_rejected(call)
    assert (allowed >= GUESTS, last) == (True, "RATE_LIMITED")
    assert await _get_user(gateway, http, "json", token, "2001:db8:5:1::1") == "OK"
    assert await sign_in("2001:db8:5:2::1") == "OK"


@pytest.mark.parametrize(
    ("own", "neighbour", "other", "end"),
    [
        ("2001:db8:6:1::1", "2001:db8:6:1:ffff::2", "2001:db8:6:2::1", "]}"),
        ("2001:db9::1", "2001:db9::a:b:c:d", "2001:db9:0:1::1", "]"),
        ("1:2:3:4:5:6:7:8", "1:2:3:4::", "1:2:3::", "]}"),
        ("203.0.113.7", "203.0.113.7", "203.0.113.8", "]"),
    ],
)
async def test_the_work_that_json_causes_is_limited_by_address(
    gateway: GatewayClient,
    http: httpx.AsyncClient,
    token: str,
    own: str,
    neighbour: str,
    other: str,
    end: str,
) -> None:
    async def post(address: str, content: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {token}", "x-forwarded-for": address}
        return await http.post("/v1/classes", content=content, headers=headers)

    assert (await post(own, '{"title":[' + "1," * 60_000 + "1" + end)).status_code == 400
    assert retry_in_json(await post(neighbour, "{}")) == (429, "RATE_LIMITED", 3)
    assert (await post(other, "{")).status_code == 400
    # Calls without a body cause no such work.
    assert await _get_user(gateway, http, "json", token, neighbour) == "OK"


async def test_without_a_proxy_callers_cannot_choose_their_address(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PER_ADDRESS_PER_MINUTE", PER_ADDRESS)
    spoofed = ("x-forwarded-for", "x-real-ip", "x-envoy-external-address", "true-client-ip", "forwarded")
    async with (
        start_gateway(tmp_path_factory.mktemp("gateway")) as gateway,
        httpx.AsyncClient(base_url=f"http://{gateway.address}", timeout=GUARD_SECONDS) as http,
    ):
        token = {"authorization": f"Bearer {gateway.env.issuer.token(str(uuid.uuid4()))}"}

        async def call(number: int) -> str:
            headers = dict.fromkeys(spoofed, f"203.0.113.{number % 250}")
            reply = await http.get("/v1/users/me", headers={**token, **headers})
            return "OK" if reply.is_success else reply.json()["details"][0]["reason"]

        allowed, last = await _call_until_rejected(call)
        assert (allowed >= PER_ADDRESS, last) == (True, "RATE_LIMITED")
        assert {line["address"] for line in await gateway.read_access_log(allowed + 1)} == {"127.0.0.1"}


def test_the_limits_match_the_documentation() -> None:
    assert (limits.PER_USER_PER_MINUTE, limits.PER_ADDRESS_PER_MINUTE) == (1200, 12_000)
    declared = {
        rpc.name: MessageToJson(rpc.limit, indent=None)
        for rpc in routed_rpcs(descriptors())
        if rpc.limit.ByteSize()
    }
    assert declared["Ask"] == '{"perUserPerMinute": 20}'
    assert declared["SignIn"] == '{"perAddressPerMinute": 300}'


async def _call_until_rejected(call: Callable[[int], Awaitable[str]]) -> tuple[int, str]:
    return await call_until_rejected(call, attempts=5 * PER_ADDRESS)


async def _get_user(
    gateway: GatewayClient, http: httpx.AsyncClient, protocol: str, token: str, via: str
) -> str:
    """Returns OK, or the reason and the retry delay."""
    headers = {"authorization": f"Bearer {token}", "x-forwarded-for": via}
    if protocol == "json":
        reply = await http.get("/v1/users/me", headers=headers)
        return "OK" if reply.is_success else "{1} {2}".format(*retry_in_json(reply))
    call: Any = UserServiceStub(gateway.channel).GetUser(
        GetUserRequest(user_id="me"), metadata=(*headers.items(),)
    )
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return f"{parse_error(error).reason} {dict(error.trailing_metadata() or ())['retry-after']}"
    return "OK"
