"""Attacks of RFC 8725 and others: no forged, foreign or malformed token is accepted.

Each token is sent through the gateway and directly to a service. Both reject it as UNAUTHENTICATED with
a reason. No token is treated as anonymous, and none causes an internal error.
"""

import uuid
from collections.abc import Callable
from typing import Any

import grpc
import httpx2 as httpx
import pytest
from google.protobuf.descriptor_pool import Default

from chassis import tokens
from chassis.testing import expect_error
from deploy.gateway.contracts import descriptors, routed_rpcs
from meno.identity.v1.user_service_pb2 import GetUserRequest
from meno.identity.v1.user_service_pb2_grpc import UserServiceStub
from tests.gateway.attacks import ATTACKS, PLACEMENTS, Attack, Headers, now, signed
from tests.gateway.gateway_client import GatewayClient
from tests.gateway.token_factory import ORDER, TokenFactory, pair
from tests.local_stack import GUARD_SECONDS

[GET_USER] = (rpc for rpc in routed_rpcs(descriptors()) if rpc.name == "GetUser")


@pytest.fixture(scope="module")
def factory(gateway: GatewayClient) -> TokenFactory:
    return TokenFactory(gateway.env.issuer)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name[:60])
async def test_manipulated_tokens_are_rejected(
    gateway: GatewayClient, factory: TokenFactory, attack: Attack
) -> None:
    metadata = (("authorization", f"Bearer {attack.token(factory)}"),)
    assert await rejections(gateway, metadata) == {("UNAUTHENTICATED", attack.reason)}


@pytest.mark.parametrize(("name", "placement", "reason"), PLACEMENTS, ids=[name for name, _, _ in PLACEMENTS])
async def test_a_token_in_the_wrong_place_is_rejected(
    gateway: GatewayClient, factory: TokenFactory, name: str, placement: Callable[[str], Headers], reason: str
) -> None:
    assert await rejections(gateway, placement(factory.token())) == {("UNAUTHENTICATED", reason)}


@pytest.mark.parametrize(
    "token",
    [
        lambda factory: factory.token(),
        lambda factory: factory.token(exp=now(-5)),
        lambda factory: factory.token(iat=now(5), nbf=now(5)),
        lambda factory: factory.token(archived={"018f": "TEACHER"}, guest=False),
        lambda factory: factory.token(
            classes={str(uuid.UUID(int=number)): "TEACHER" for number in range(200)}
        ),
        lambda factory: factory.sized(tokens.MAX_TOKEN_BYTES),
        # ECDSA signatures are malleable: (r, n − s) is also valid. RFC 7518 does not forbid it.
        signed(lambda r, s: pair(r, ORDER - s)),
    ],
)
async def test_valid_tokens_are_accepted(
    gateway: GatewayClient, factory: TokenFactory, token: Callable[[TokenFactory], str]
) -> None:
    metadata = (("authorization", f"Bearer {token(factory)}"),)
    for channel in (gateway.channel, gateway.direct(GET_USER)):
        await UserServiceStub(channel).GetUser(GetUserRequest(user_id=factory.user_id), metadata=metadata)


async def test_a_token_in_a_query_or_a_form_is_ignored(gateway: GatewayClient, factory: TokenFactory) -> None:
    token = factory.token()
    async with httpx.AsyncClient(base_url=f"http://{gateway.address}", timeout=GUARD_SECONDS) as http:
        replies = [
            await http.get("/v1/users/me", params={name: token})
            for name in ("access_token", "authorization", "jwt")
        ]
        replies.append(await http.post("/v1/classes", data={"access_token": token}))
        replies.append(await http.post("/v1/classes", json={"access_token": token, "title": "x"}))
        replies.append(await http.get(f"/v1/users/me;access_token={token}"))
    reasons = [reply.json()["details"][0]["reason"] for reply in replies]
    assert reasons[:3] == ["REQUEST_MALFORMED"] * 3
    assert [
        (reply.status_code, reason)
        for reply, reason in zip(replies, reasons, strict=True)
        if reason == "TOKEN_MISSING"
    ]
    assert all(reply.status_code in {400, 401, 404} for reply in replies)


async def test_oversized_headers_are_rejected(gateway: GatewayClient, factory: TokenFactory) -> None:
    """Over HTTP/1 they get a JSON error. Over HTTP/2, Envoy resets the stream."""
    stub = UserServiceStub(gateway.channel)
    metadata = (("authorization", f"Bearer {'x' * 31_000}"),)
    with pytest.raises(grpc.aio.AioRpcError) as reset:
        await stub.GetUser(GetUserRequest(user_id="me"), metadata=metadata)
    assert "RST_STREAM" in str(reset.value.details())
    await stub.GetUser(
        GetUserRequest(user_id="me"), metadata=(("authorization", f"Bearer {factory.token()}"),)
    )
    async with httpx.AsyncClient(base_url=f"http://{gateway.address}", timeout=GUARD_SECONDS) as http:
        reply = await http.get("/v1/users/me", headers=dict(metadata))
    assert (reply.status_code, reply.json()["details"][0]["reason"]) == (431, "MESSAGE_TOO_LARGE")


async def test_a_class_in_a_malformed_claim_grants_no_access(
    gateway: GatewayClient, factory: TokenFactory
) -> None:
    """The gateway evaluates the claims before the services check their form."""
    class_id = str(uuid.uuid4())
    for rpc in routed_rpcs(descriptors()):
        if not any(grant.member_of for grant in rpc.grants):
            continue
        for classes in (
            [class_id],
            {class_id: ["TEACHER"]},
            {class_id: {"TEACHER": 1}},
            f"{class_id}TEACHER",
        ):
            metadata = (("authorization", f"Bearer {factory.token(classes=classes, archived=classes)}"),)
            descriptor: Any = (
                Default().FindServiceByName(rpc.grpc_service).methods_by_name[rpc.name].input_type
            )
            number = descriptor.fields_by_name["class_id"].number
            raw = bytes([number << 3 | 2, len(class_id)]) + class_id.encode()
            for channel in (gateway.channel, gateway.direct(rpc)):
                # A stream of one request is the same on the wire as a unary request.
                call = getattr(channel, "unary_stream" if rpc.server_streaming else "unary_unary")(rpc.path)
                denied = await expect_error(call(raw, metadata=metadata))
                assert denied.code in {"PERMISSION_DENIED", "UNAUTHENTICATED"}, rpc.path


async def rejections(gateway: GatewayClient, metadata: Headers) -> set[tuple[str, str]]:
    """Returns the codes and reasons of the gateway and of the service: one element if both are equal."""
    found = set()
    for channel in (gateway.channel, gateway.direct(GET_USER)):
        call = UserServiceStub(channel).GetUser(GetUserRequest(user_id="me"), metadata=metadata)
        denied = await expect_error(call)
        found.add((denied.code, denied.reason))
    return found
