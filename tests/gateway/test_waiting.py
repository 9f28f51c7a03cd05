"""Who calls too often, or too early, is told when to come again: by whomever, in whatever protocol."""

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
from meno.content.v1.material_service_pb2_grpc import MaterialServiceStub
from meno.identity.v1.user_service_pb2 import GetSettingsRequest, GetUserRequest
from meno.identity.v1.user_service_pb2_grpc import UserServiceStub
from tests.gateway.front import Front
from tests.gateway.front import front as start_front

CLASS = "018f0000-0000-7000-8000-0000000000c1"
PER_PERSON, PER_ADDRESS = 30, 90
GUESTS = 60
"""A minute and address, as the contract says."""


def refusing(error: Callable[[], DomainError]) -> Callable[[Any], None]:
    def answer(context: Any) -> None:
        raise error()

    return answer


@pytest_asyncio.fixture(scope="module")
async def front(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    """A gateway that soon has enough, one proxy before it, and services that refuse."""
    answers = {
        "GetSettings": refusing(ServiceUnavailable),
        "Ask": refusing(RateLimited),
        "UploadMaterial": refusing(ServiceUnavailable),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "PER_PERSON_PER_MINUTE", PER_PERSON)
        patch.setattr(limits, "PER_ADDRESS_PER_MINUTE", PER_ADDRESS)
        async with start_front(tmp_path_factory.mktemp("front"), answers=answers, trusted_proxies=1) as front:
            patch.undo()
            yield front


@pytest_asyncio.fixture
async def http(front: Front) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://{front.address}") as client:
        yield client


@pytest.fixture
def address() -> str:
    """One that no other test comes from, in a /64 of its own."""
    return f"2001:db8:2:{uuid.uuid4().hex[:4]}::1"


@pytest.fixture
def token(front: Front) -> str:
    return front.env.issuer.token(str(uuid.uuid4()), role="TEACHER", classes={CLASS: "TEACHER"})


def waits_in_json(reply: httpx.Response) -> tuple[int, str, int]:
    """Status and reason of a refusal that says when to come again, twice the same."""
    info, retry = reply.json()["details"]
    assert retry["@type"] == "type.googleapis.com/google.rpc.RetryInfo"
    after = int(reply.headers["retry-after"])
    assert retry["retryDelay"] == f"{after}s"
    return reply.status_code, info["reason"], after


async def waits_in_grpc(call: Any) -> tuple[str, str, int]:
    denied = await expect_error(call)
    after = dict((*await call.initial_metadata(), *await call.trailing_metadata()))["retry-after"]
    assert denied.detail(RetryInfo).retry_delay.seconds == int(after)
    return denied.code, denied.reason, int(after)


async def test_what_a_service_refuses_for_now_says_until_when(
    front: Front, http: httpx.AsyncClient, token: str, address: str
) -> None:
    headers = {"authorization": f"Bearer {token}", "x-forwarded-for": address}
    how: dict[str, Any] = {"metadata": (*headers.items(),)}
    chat, text = str(uuid.uuid4()), "Why?"
    asked = {"text": text}
    pieces = UploadMaterialRequest(class_id=CLASS, file_name="a.md")
    upload = f"/v1/classes/{CLASS}/materials:upload?fileName=a.md"
    call: Any = UserServiceStub(front.channel).GetSettings(GetSettingsRequest(user_id="me"), **how)
    assert await waits_in_grpc(call) == ("UNAVAILABLE", "SERVICE_UNAVAILABLE", 1)
    call = ChatServiceStub(front.channel).Ask(AskRequest(user_id="me", chat_id=chat, text=text), **how)
    assert await waits_in_grpc(call) == ("RESOURCE_EXHAUSTED", "RATE_LIMITED", 3)
    call = MaterialServiceStub(front.channel).UploadMaterial(iter([pieces]), **how)
    assert await waits_in_grpc(call) == ("UNAVAILABLE", "SERVICE_UNAVAILABLE", 1)
    reply = await http.get("/v1/users/me/settings", headers=headers)
    assert waits_in_json(reply) == (503, "SERVICE_UNAVAILABLE", 1)
    reply = await http.post(f"/v1/users/me/chats/{chat}:ask", json=asked, headers=headers)
    assert waits_in_json(reply) == (429, "RATE_LIMITED", 3)
    reply = await http.post(upload, content=b"a", headers={**headers, "content-type": "text/markdown"})
    assert waits_in_json(reply) == (503, "SERVICE_UNAVAILABLE", 1)


async def test_what_a_service_refuses_is_still_repeated_by_its_callers(front: Front) -> None:
    """A header before the refusal would tell gRPC that the call is being served: it comes after."""
    [rpc] = [rpc for rpc in routed_rpcs(descriptors()) if rpc.name == "GetSettings"]
    token = front.env.issuer.token(str(uuid.uuid4()))
    stub = UserServiceStub(front.straight(rpc))
    call: Any = stub.GetSettings(GetSettingsRequest(user_id="me"), **bearer(token))
    assert (await expect_error(call)).reason == "SERVICE_UNAVAILABLE"
    assert tuple(await call.initial_metadata()) == ()


@pytest.mark.parametrize("protocol", ["json", "grpc"])
async def test_a_person_has_their_own_calls_wherever_they_come_from(
    front: Front, http: httpx.AsyncClient, token: str, protocol: str
) -> None:
    async def call(number: int) -> str:
        return await _get_user(front, http, protocol, token, f"2001:db8:1::{number}")

    allowed, last = await _until_refused(call)
    assert (allowed >= PER_PERSON, last) == (True, "RATE_LIMITED 3")
    other = front.env.issuer.token(str(uuid.uuid4()))
    assert await _get_user(front, http, protocol, other, "2001:db8:1::1") == "OK"


@pytest.mark.parametrize("protocol", ["json", "grpc"])
async def test_an_address_has_its_own_calls_whoever_makes_them(
    front: Front, http: httpx.AsyncClient, address: str, protocol: str
) -> None:
    tokens = [front.env.issuer.token(str(uuid.uuid4())) for _ in range(10)]

    async def call(number: int) -> str:
        # The proxy adds the address that it sees; what came before is a wish of the caller.
        via = f"203.0.113.{number % 250}, {address}"
        return await _get_user(front, http, protocol, tokens[number % len(tokens)], via)

    allowed, last = await _until_refused(call)
    assert (allowed >= PER_ADDRESS, last) == (True, "RATE_LIMITED 3")
    assert await _get_user(front, http, protocol, tokens[0], "2001:db8:3::1") == "OK"


@pytest.mark.parametrize(
    ("own", "other"),
    [("2001:db8:4:1:{0:x}::{0:x}", "2001:db8:4:2::1"), ("203.0.113.1", "203.0.113.2")],
    ids=["ipv6", "ipv4"],
)
async def test_an_address_is_one_of_ipv4_or_a_network_of_64_bits_of_ipv6(
    front: Front, http: httpx.AsyncClient, own: str, other: str
) -> None:
    tokens = [front.env.issuer.token(str(uuid.uuid4())) for _ in range(10)]

    async def call(number: int) -> str:
        return await _get_user(front, http, "json", tokens[number % len(tokens)], own.format(number))

    allowed, last = await _until_refused(call)
    assert (allowed >= PER_ADDRESS, last) == (True, "RATE_LIMITED 3")
    assert await _get_user(front, http, "json", tokens[0], other) == "OK"


async def test_what_a_contract_allows_an_address_it_allows_a_network(
    front: Front, http: httpx.AsyncClient, token: str
) -> None:
    """Fewer guests than calls: the general limit still lets the network in."""

    async def sign_in(address: str) -> str:
        reply = await http.post("/v1/auth:signInAsGuest", json={}, headers={"x-forwarded-for": address})
        return "OK" if reply.is_success else reply.json()["details"][0]["reason"]

    async def call(number: int) -> str:
        return await sign_in(f"2001:db8:5:1::{number:x}")

    allowed, last = await _until_refused(call)
    assert (allowed >= GUESTS, last) == (True, "RATE_LIMITED")
    assert await _get_user(front, http, "json", token, "2001:db8:5:1::1") == "OK"
    assert await sign_in("2001:db8:5:2::1") == "OK"


async def test_without_a_proxy_nobody_chooses_their_address(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PER_ADDRESS_PER_MINUTE", PER_ADDRESS)
    claimed = ("x-forwarded-for", "x-real-ip", "x-envoy-external-address", "true-client-ip", "forwarded")
    async with (
        start_front(tmp_path_factory.mktemp("front")) as front,
        httpx.AsyncClient(base_url=f"http://{front.address}") as http,
    ):
        token = {"authorization": f"Bearer {front.env.issuer.token(str(uuid.uuid4()))}"}

        async def call(number: int) -> str:
            headers = dict.fromkeys(claimed, f"203.0.113.{number % 250}")
            reply = await http.get("/v1/users/me", headers={**token, **headers})
            return "OK" if reply.is_success else reply.json()["details"][0]["reason"]

        allowed, last = await _until_refused(call)
        assert (allowed >= PER_ADDRESS, last) == (True, "RATE_LIMITED")
        assert {line["address"] for line in await front.logged(allowed + 1)} == {"127.0.0.1"}


def test_the_limits_are_those_that_are_documented() -> None:
    assert (limits.PER_PERSON_PER_MINUTE, limits.PER_ADDRESS_PER_MINUTE) == (1200, 12_000)
    declared = {
        rpc.name: MessageToJson(rpc.limit, indent=None)
        for rpc in routed_rpcs(descriptors())
        if rpc.limit.ByteSize()
    }
    assert declared["Ask"] == '{"perPersonPerMinute": 20}'
    assert declared["SignIn"] == '{"perAddressPerMinute": 300}'


async def _until_refused(call: Callable[[int], Awaitable[str]]) -> tuple[int, str]:
    """Calls until that is refused, for a bucket is filled while it is emptied; says how often it was not."""
    for number in range(5 * PER_ADDRESS):
        outcome = await call(number)
        if outcome != "OK":
            return number, outcome
    raise AssertionError("nobody is ever refused")


async def _get_user(front: Front, http: httpx.AsyncClient, protocol: str, token: str, via: str) -> str:
    """OK, or why not and for how long."""
    headers = {"authorization": f"Bearer {token}", "x-forwarded-for": via}
    if protocol == "json":
        reply = await http.get("/v1/users/me", headers=headers)
        return "OK" if reply.is_success else "{1} {2}".format(*waits_in_json(reply))
    call: Any = UserServiceStub(front.channel).GetUser(
        GetUserRequest(user_id="me"), metadata=(*headers.items(),)
    )
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return f"{parse_error(error).reason} {dict(error.trailing_metadata() or ())['retry-after']}"
    return "OK"
