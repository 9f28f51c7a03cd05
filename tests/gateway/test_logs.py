"""No log of the stack contains a secret that was part of a call."""

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
from tests.gateway.token_factory import base64url
from tests.local_stack import GUARD_SECONDS

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
    """Unique secrets, so that a secret in a log identifies the place where it was sent."""

    def __init__(self) -> None:
        self._secrets: dict[str, str] = {}

    def __getitem__(self, location: str) -> str:
        return self._secrets.setdefault(location, f"hush{uuid.uuid4().hex}")

    def token(self, location: str) -> str:
        """Returns a secret in the form of a token."""
        return f"{base64url(b'{}')}.{base64url(b'{}')}.{self[location]}"

    def add(self, location: str, secret: str) -> None:
        """Adds a secret that a service created."""
        self._secrets[location] = secret

    def found_in(self, text: str) -> list[str]:
        return [location for location, secret in self._secrets.items() if secret in text]


async def test_no_log_contains_a_secret(layout: Layout) -> None:
    secrets = Secrets()
    async with (
        grpc.aio.insecure_channel(f"localhost:{layout.port}") as channel,
        httpx.AsyncClient(base_url=f"http://localhost:{layout.port}", timeout=GUARD_SECONDS) as http,
    ):
        await _grpc_calls(channel, secrets)
        await _json_calls(http, secrets)
        last = (await http.get("/v1/nothing")).headers["x-request-id"]
    await _wait_for_line(layout, "access", last)
    files = [file for file in layout.log("access").parent.rglob("*") if file.is_file()]
    assert {"access.log", "gateway.log", "identity_service.log"} <= {file.name for file in files}
    assert {file.name: found for file in files if (found := secrets.found_in(_text(file)))} == {}


async def test_a_call_has_the_same_ids_in_every_log(layout: Layout) -> None:
    """The lesson does not exist, so session_service calls content_service, which rejects the call."""
    async with grpc.aio.insecure_channel(f"localhost:{layout.port}") as channel:
        tokens = await AuthServiceStub(channel).SignInAsGuest(SignInAsGuestRequest())
        request = CreateSessionRequest(user_id="me", class_id=str(uuid.uuid4()), content_id=str(uuid.uuid4()))
        call: Any = SessionServiceStub(channel).CreateSession(request, **bearer(tokens.access_token))
        assert (await expect_error(call)).code == "PERMISSION_DENIED"
        request_id = str(dict(await call.trailing_metadata())["x-request-id"])
    lines = [
        await _wait_for_line(layout, name, request_id)
        for name in ("access", "session_service", "content_service")
    ]
    assert {line["request_id"] for line in lines} == {request_id}
    [trace] = {line["trace_id"] for line in lines}
    assert re.fullmatch("[0-9a-f]{32}", trace)
    assert {line["user_id"] for line in lines} == {tokens.user.user_id}


async def _wait_for_line(layout: Layout, name: str, request_id: str) -> Any:
    """Returns the line of a log for a call, as soon as it is written."""
    found: list[str] = []

    async def written() -> bool:
        found[:] = [line for line in layout.log(name).read_text().splitlines() if request_id in line]
        return bool(found)

    assert await readiness.wait_until(written, lambda: True, seconds=GUARD_SECONDS), (
        f"the log of {name} has no line for {request_id}"
    )
    return json.loads(found[0])


async def _grpc_calls(channel: grpc.aio.Channel, secrets: Secrets) -> None:
    auth, users = AuthServiceStub(channel), UserServiceStub(channel)
    password, name = secrets["password"], f"quiet-{uuid.uuid4().hex[:8]}"
    tokens = await auth.SignUp(SignUpRequest(login_name=name, display_name="Quiet", password=password))
    secrets.add("access token", tokens.access_token.rpartition(".")[2])
    secrets.add("refresh token", tokens.refresh_token.rpartition(".")[2])
    bearer = (("authorization", f"Bearer {tokens.access_token}"),)
    request_id = secrets["request_id"]
    codes = await asyncio.gather(
        *map(
            _code,
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
    assert grpc.StatusCode.INTERNAL not in codes


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
        ("GET", "/v1/users/me", {"headers": {"x_underscore": secrets["rejected header"]}}),
        ("GET", "/v1/users/me", {"headers": {"x-big": secrets["oversized header"] * 900}}),
    ]
    for verb, path, options in calls:
        await http.request(verb, path, **options)


async def _code(call: Any) -> grpc.StatusCode:
    """Returns the status code of a call."""
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
