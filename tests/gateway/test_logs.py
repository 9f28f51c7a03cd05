"""Nothing secret that anybody sends, wherever they put it, is ever written to a log of the stack."""

import asyncio
import json
import re
import uuid
from pathlib import Path
from typing import Any

import grpc
import httpx2 as httpx

from chassis.testing import bearer, expect_error
from deploy.stack import readiness
from deploy.stack.layout import Layout
from meno.identity.v1.auth_service_pb2 import (
    LinkCredentialsRequest,
    RedeemOneTimeCodeRequest,
    RefreshTokensRequest,
    SignInAsGuestRequest,
    SignInRequest,
    SignInWithIdTokenRequest,
    SignUpRequest,
)
from meno.identity.v1.auth_service_pb2_grpc import AuthServiceStub
from meno.identity.v1.user_service_pb2 import GetUserRequest
from meno.identity.v1.user_service_pb2_grpc import UserServiceStub
from meno.session.v1.session_service_pb2 import CreateSessionRequest
from meno.session.v1.session_service_pb2_grpc import SessionServiceStub
from tests.gateway.forge import base64url

HEADERS = (
    "authorization",
    "cookie",
    "proxy-authorization",
    "x-api-key",
    "traceparent",
    "baggage",
    "user-agent",
)


class Secrets:
    """Each is told apart, so that one that is found says where it was sent."""

    def __init__(self) -> None:
        self._made: dict[str, str] = {}

    def __getitem__(self, place: str) -> str:
        return self._made.setdefault(place, f"hush{uuid.uuid4().hex}")

    def token(self, place: str) -> str:
        """In the form of a token."""
        return f"{base64url(b'{}')}.{base64url(b'{}')}.{self[place]}"

    def keep(self, place: str, secret: str) -> None:
        """One that somebody else made."""
        self._made[place] = secret

    def found_in(self, text: str) -> list[str]:
        return [place for place, secret in self._made.items() if secret in text]


async def test_no_log_holds_what_is_secret(layout: Layout) -> None:
    secrets = Secrets()
    async with (
        grpc.aio.insecure_channel(f"localhost:{layout.port}") as channel,
        httpx.AsyncClient(base_url=f"http://localhost:{layout.port}") as http,
    ):
        await _grpc_calls(channel, secrets)
        await _json_calls(http, secrets)
        last = (await http.get("/v1/nothing")).headers["x-request-id"]
    await _line(layout, "access", last)
    files = [file for file in layout.log("access").parent.rglob("*") if file.is_file()]
    assert {"access.log", "gateway.log", "identity_service.log"} <= {file.name for file in files}
    assert {file.name: found for file in files if (found := secrets.found_in(_text(file)))} == {}


async def test_one_call_stands_under_the_same_ids_in_every_log(layout: Layout) -> None:
    """A lesson that is not there: session_service asks content_service, which refuses."""
    async with grpc.aio.insecure_channel(f"localhost:{layout.port}") as channel:
        tokens = await AuthServiceStub(channel).SignInAsGuest(SignInAsGuestRequest())
        request = CreateSessionRequest(user_id="me", class_id=str(uuid.uuid4()), content_id=str(uuid.uuid4()))
        call: Any = SessionServiceStub(channel).CreateSession(request, **bearer(tokens.access_token))
        assert (await expect_error(call)).code == "PERMISSION_DENIED"
        request_id = str(dict(await call.trailing_metadata())["x-request-id"])
    logged = [
        await _line(layout, name, request_id) for name in ("access", "session_service", "content_service")
    ]
    assert {line["request_id"] for line in logged} == {request_id}
    [trace] = {line["trace_id"] for line in logged}
    assert re.fullmatch("[0-9a-f]{32}", trace)
    assert {line["user_id"] for line in logged} == {tokens.user.user_id}


async def _line(layout: Layout, name: str, request_id: str) -> Any:
    """The line of a log that is about a call, once it is written."""
    found: list[str] = []

    async def written() -> bool:
        found[:] = [line for line in layout.log(name).read_text().splitlines() if request_id in line]
        return bool(found)

    assert await readiness.wait_until(written, lambda: True, seconds=30), (
        f"{name} says nothing of {request_id}"
    )
    return json.loads(found[0])


async def _grpc_calls(channel: grpc.aio.Channel, secrets: Secrets) -> None:
    auth, users = AuthServiceStub(channel), UserServiceStub(channel)
    password, name = secrets["password"], f"quiet-{uuid.uuid4().hex[:8]}"
    tokens = await auth.SignUp(SignUpRequest(login_name=name, display_name="Quiet", password=password))
    secrets.keep("access token", tokens.access_token.rpartition(".")[2])
    secrets.keep("refresh token", tokens.refresh_token.rpartition(".")[2])
    bearer = (("authorization", f"Bearer {tokens.access_token}"),)
    request_id = secrets["request_id"]
    ended = await asyncio.gather(
        *map(
            _ended,
            [
                users.GetUser(GetUserRequest(user_id="me"), metadata=bearer),
                users.GetUser(GetUserRequest(user_id=secrets["user_id"]), metadata=bearer),
                auth.SignIn(SignInRequest(identifier=name, password=password)),
                auth.SignIn(SignInRequest(identifier=name, password=secrets["wrong password"])),
                auth.SignIn(
                    SignInRequest(identifier=secrets["identifier"], password="x", request_id=request_id)
                ),
                auth.RefreshTokens(RefreshTokensRequest(refresh_token=tokens.refresh_token)),
                auth.RefreshTokens(
                    RefreshTokensRequest(refresh_token=secrets.token("foreign refresh token"))
                ),
                auth.RefreshTokens(RefreshTokensRequest(refresh_token=secrets["malformed refresh token"])),
                auth.SignInWithIdToken(SignInWithIdTokenRequest(id_token=secrets.token("ID token"))),
                auth.SignInWithIdToken(SignInWithIdTokenRequest(id_token="x", nonce=secrets["nonce"])),
                auth.RedeemOneTimeCode(
                    RedeemOneTimeCodeRequest(address="a@example.org", code=secrets["code"])
                ),
                auth.RedeemOneTimeCode(
                    RedeemOneTimeCodeRequest(
                        address="a@example.org", code="123456", new_password=secrets["new password"]
                    )
                ),
                auth.LinkCredentials(
                    LinkCredentialsRequest(user_id="me", password=secrets["linked password"]), metadata=bearer
                ),
                *(
                    users.GetUser(
                        GetUserRequest(user_id="me"), metadata=((header, secrets.token(f"gRPC {header}")),)
                    )
                    for header in HEADERS
                    if header != "user-agent"
                ),
                _raw(channel, f"/meno.identity.v1.UserService/{secrets['gRPC method']}"),
                _raw(channel, f"/{secrets['gRPC service']}/GetUser"),
                _raw(channel, f"/meno.identity.v1.UserService/GetUser?token={secrets['gRPC query']}"),
                _raw(channel, "/meno.identity.v1.UserService/GetUser", secrets["gRPC bytes"].encode()),
            ],
        )
    )
    assert grpc.StatusCode.INTERNAL not in ended


async def _json_calls(http: httpx.AsyncClient, secrets: Secrets) -> None:
    body = {"identifier": "quiet", "password": secrets["JSON password"]}
    broken = f'{{"identifier": "quiet", "password": "{secrets["broken JSON"]}'
    bad_type = f'{{"identifier": 7, "password": ["{secrets["JSON of another type"]}"]}}'
    unknown = {**body, secrets["JSON name"]: "x"}
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/v1/auth:signIn", {"json": body}),
        ("POST", "/v1/auth:signIn", {"content": broken}),
        ("POST", "/v1/auth:signIn", {"content": bad_type}),
        ("POST", "/v1/auth:signIn", {"json": unknown}),
        ("POST", "/v1/auth:signIn", {"data": {"password": secrets["form"]}}),
        ("POST", f"/v1/auth:signIn?password={secrets['query of a POST']}", {"json": body}),
        ("GET", f"/v1/users/me?access_token={secrets.token('query')}", {}),
        ("GET", f"/v1/users/{secrets.token('path')}", {}),
        ("GET", f"/v1/users/me/{secrets.token('end of a path')}", {}),
        ("GET", f"/{secrets['unknown path']}", {}),
        ("GET", f"/docs/{secrets['page']}", {}),
        ("GET", f"/v1/users/%2e%2e%2f{secrets['escaped path']}", {}),
        (secrets["verb"].upper()[:20], "/v1/users/me", {}),
        *(
            ("GET", "/v1/users/me", {"headers": {header: secrets.token(f"JSON {header}")}})
            for header in HEADERS
        ),
        ("GET", "/v1/users/me", {"headers": {"authorization": f"Bearer {secrets.token('JSON bearer')}"}}),
        ("GET", "/v1/users/me", {"headers": {secrets["name of a header"]: "x"}}),
        ("GET", "/v1/users/me", {"headers": {"x_underscore": secrets["header that is refused"]}}),
        ("GET", "/v1/users/me", {"headers": {"x-big": secrets["header that is too large"] * 900}}),
    ]
    for verb, path, how in calls:
        await http.request(verb, path, **how)


async def _ended(call: Any) -> grpc.StatusCode:
    """How a call ends."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def _raw(channel: grpc.aio.Channel, path: str, message: bytes = b"") -> Any:
    method: Any = channel.unary_unary(path)
    return method(message)


def _text(file: Path) -> str:
    return file.read_text(errors="replace")
