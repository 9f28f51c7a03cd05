"""What RFC 8725 warns of, and some more: no forged, foreign or crooked token lets anybody in.

Each is sent through the gateway and straight to a service. Both refuse it as UNAUTHENTICATED, with
a reason; none is ever answered as if nobody had sent it, and none is a fault of ours.
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
from tests.gateway.attacks import ATTACKS, PLACES, Attack, Headers, now, signed
from tests.gateway.forge import ORDER, Forge, pair
from tests.gateway.front import Front

[GET_USER] = (rpc for rpc in routed_rpcs(descriptors()) if rpc.name == "GetUser")


@pytest.fixture(scope="module")
def forge(front: Front) -> Forge:
    return Forge(front.env.issuer)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name[:60])
async def test_no_such_token_lets_anybody_in(front: Front, forge: Forge, attack: Attack) -> None:
    metadata = (("authorization", f"Bearer {attack.token(forge)}"),)
    assert await refused_both_ways(front, metadata) == {("UNAUTHENTICATED", attack.reason)}


@pytest.mark.parametrize(("name", "place", "reason"), PLACES, ids=[name for name, _, _ in PLACES])
async def test_a_token_counts_where_it_belongs_and_there_once(
    front: Front, forge: Forge, name: str, place: Callable[[str], Headers], reason: str
) -> None:
    assert await refused_both_ways(front, place(forge.token())) == {("UNAUTHENTICATED", reason)}


@pytest.mark.parametrize(
    "token",
    [
        lambda forge: forge.token(),
        lambda forge: forge.token(exp=now(-5)),
        lambda forge: forge.token(iat=now(5), nbf=now(5)),
        lambda forge: forge.token(archived={"018f": "TEACHER"}, guest=False),
        lambda forge: forge.token(classes={str(uuid.UUID(int=number)): "TEACHER" for number in range(200)}),
        lambda forge: forge.sized(tokens.MAX_TOKEN_BYTES),
        # It says the same of the same claims: RFC 7518 asks for neither of a signature and its mirror.
        signed(lambda r, s: pair(r, ORDER - s)),
    ],
)
async def test_what_the_house_writes_lets_in(
    front: Front, forge: Forge, token: Callable[[Forge], str]
) -> None:
    metadata = (("authorization", f"Bearer {token(forge)}"),)
    for channel in (front.channel, front.straight(GET_USER)):
        await UserServiceStub(channel).GetUser(GetUserRequest(user_id=forge.user_id), metadata=metadata)


async def test_a_token_in_a_query_or_a_form_is_none(front: Front, forge: Forge) -> None:
    token = forge.token()
    async with httpx.AsyncClient(base_url=f"http://{front.address}") as http:
        asked = [
            await http.get("/v1/users/me", params={name: token})
            for name in ("access_token", "authorization", "jwt")
        ]
        asked.append(await http.post("/v1/classes", data={"access_token": token}))
        asked.append(await http.post("/v1/classes", json={"access_token": token, "title": "x"}))
        asked.append(await http.get(f"/v1/users/me;access_token={token}"))
    reasons = [reply.json()["details"][0]["reason"] for reply in asked]
    assert reasons[:3] == ["REQUEST_MALFORMED"] * 3
    assert [
        (reply.status_code, why) for reply, why in zip(asked, reasons, strict=True) if why == "TOKEN_MISSING"
    ]
    assert all(reply.status_code in {400, 401, 404} for reply in asked)


async def test_headers_beyond_what_services_take_get_nowhere(front: Front, forge: Forge) -> None:
    """Over HTTP/1 they are refused in our words; a stream of HTTP/2 Envoy only resets."""
    stub = UserServiceStub(front.channel)
    metadata = (("authorization", f"Bearer {'x' * 31_000}"),)
    with pytest.raises(grpc.aio.AioRpcError) as reset:
        await stub.GetUser(GetUserRequest(user_id="me"), metadata=metadata)
    assert "RST_STREAM" in str(reset.value.details())
    await stub.GetUser(GetUserRequest(user_id="me"), metadata=(("authorization", f"Bearer {forge.token()}"),))
    async with httpx.AsyncClient(base_url=f"http://{front.address}") as http:
        reply = await http.get("/v1/users/me", headers=dict(metadata))
    assert (reply.status_code, reply.json()["details"][0]["reason"]) == (431, "MESSAGE_TOO_LARGE")


async def test_a_class_in_a_crooked_claim_opens_nothing(front: Front, forge: Forge) -> None:
    """The gateway judges by the claims themselves, before the services look at their form."""
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
            metadata = (("authorization", f"Bearer {forge.token(classes=classes, archived=classes)}"),)
            descriptor: Any = (
                Default().FindServiceByName(rpc.grpc_service).methods_by_name[rpc.name].input_type
            )
            number = descriptor.fields_by_name["class_id"].number
            raw = bytes([number << 3 | 2, len(class_id)]) + class_id.encode()
            for channel in (front.channel, front.straight(rpc)):
                kind = "stream" if rpc.client_streaming else "unary"
                answer = "stream" if rpc.server_streaming else "unary"
                call = getattr(channel, f"{kind}_{answer}")(rpc.path)
                denied = await expect_error(
                    call(iter([raw]) if rpc.client_streaming else raw, metadata=metadata)
                )
                assert denied.code in {"PERMISSION_DENIED", "UNAUTHENTICATED"}, rpc.path


async def refused_both_ways(front: Front, metadata: Headers) -> set[tuple[str, str]]:
    """How it is refused, through the gateway and straight: one way where both say the same."""
    found = set()
    for channel in (front.channel, front.straight(GET_USER)):
        call = UserServiceStub(channel).GetUser(GetUserRequest(user_id="me"), metadata=metadata)
        denied = await expect_error(call)
        found.add((denied.code, denied.reason))
    return found
