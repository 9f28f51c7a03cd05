"""session_service in a process of its own, the same server with an empty handler, a gateway before each.

    python -m tests.benchmarks.serving DIRECTORY DATABASE_URL USER_ID

Prints one line of JSON, a Serving, when all of it serves; ends with SIGTERM.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import grpc
import uvloop

from chassis.registration import service
from chassis.security import SecurityContext
from chassis.server import App, create_server
from chassis.testing import TestEnvironment
from deploy.gateway.contracts import descriptors
from deploy.gateway.envoy import Endpoint, Gateway, configuration
from deploy.stack.layout import SERVICES, Ports
from meno.access.v1 import key_set_service_pb2 as keys
from meno.session.v1 import resources_pb2 as session_resources
from meno.session.v1 import session_service_pb2 as sessions
from session_service.app import build_app
from session_service.settings import Settings
from tests.gateway.gateway_client import envoy, free_ports, healthy, keys_of

_NEVER_REACHED = 4_000_000_000


@dataclass(frozen=True)
class Way:
    """Two ways to one server."""

    through: str
    """To the gateway in plain text, as its clients come."""
    direct: str
    """To the server, encrypted as the gateway's own calls are."""


@dataclass(frozen=True)
class Serving:
    """What the process tells of itself."""

    pid: int
    token: str
    key_set: Mapping[str, Any]
    """What verifies the token."""
    service: Way
    empty: Way


async def _run(directory: Path, database_url: str, user_id: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    env = TestEnvironment(directory / "certificates")
    env.credentials("gateway")
    settings = Settings(
        database_url=database_url,
        secret="a secret of this benchmark, long enough",
        tls_directory=env.credentials("session_service").directory,
    )
    async with AsyncExitStack() as stack:
        authority = await stack.enter_async_context(env.identity_client())
        app = await stack.enter_async_context(build_app(authority, settings))
        service = await stack.enter_async_context(_way(env, app, directory / "service"))
        empty = await stack.enter_async_context(_way(env, _empty(authority.security), directory / "empty"))
        token = env.issuer.token(user_id)
        serving = Serving(os.getpid(), token, env.issuer.key_set(), service, empty)
        sys.stdout.write(json.dumps(asdict(serving)) + "\n")
        sys.stdout.flush()
        await stop.wait()


def _empty(security: SecurityContext) -> App:
    """The server behind the same chain, whose GetSession does nothing."""

    async def nothing(
        self: object, request: sessions.GetSessionRequest, context: Any
    ) -> session_resources.Session:
        return session_resources.Session()

    [contract] = sessions.DESCRIPTOR.services_by_name.values()
    servicer = type("AnswersNothing", (), dict.fromkeys(contract.methods_by_name, nothing))
    return App(services=[service(sessions, servicer())], security=security)


@asynccontextmanager
async def _way(env: TestEnvironment, app: App, directory: Path) -> AsyncIterator[Way]:
    """Serves an app, with a gateway of its own before it."""
    key_set = service(keys, type("Keys", (), {"GetJsonWebKeys": keys_of(env)})())
    async with (
        healthy() as ops,
        env.serve(App(services=[key_set], security=app.security), "identity_service") as identity,
    ):
        serving = create_server(app)
        certificate = env.credentials("session_service")
        port = serving.add_secure_port("127.0.0.1:0", certificate.server_credentials())
        direct = serving.add_secure_port("127.0.0.1:0", open_to_all(certificate.directory))
        await serving.start()
        # The others are never called; the gateway only wants to know where they would be.
        endpoints = {name: [Endpoint("127.0.0.1", port, ops)] for name in SERVICES}
        endpoints["identity_service"] = [Endpoint("127.0.0.1", _port(identity.address), ops)]
        try:
            async with _gateway(env, endpoints, directory) as address:
                yield Way(through=f"http://{address}", direct=f"https://127.0.0.1:{direct}")
        finally:
            await serving.stop(None)


@asynccontextmanager
async def _gateway(
    env: TestEnvironment, endpoints: Mapping[str, list[Endpoint]], directory: Path
) -> AsyncIterator[str]:
    public, keys_port, admin = free_ports(3)
    gateway = Gateway(
        descriptors=descriptors(),
        tls_directory=env.credentials("gateway").directory,
        services=endpoints,
        host="127.0.0.1",
        port=public,
        keys_port=keys_port,
        admin_port=admin,
        access_log=str(directory / "access.log"),
    )
    settings = unlimited(configuration(gateway))
    async with envoy(settings, directory, Ports(public, keys_port, admin, services={})):
        yield f"127.0.0.1:{public}"


def unlimited(settings: Any) -> Any:
    """A configuration whose rate limits count every call and refuse none."""
    if isinstance(settings, list):
        return [unlimited(value) for value in settings]
    if not isinstance(settings, dict):
        return settings
    return {
        name: {"max_tokens": _NEVER_REACHED, "tokens_per_fill": _NEVER_REACHED, "fill_interval": "60s"}
        if name == "token_bucket"
        else unlimited(value)
        for name, value in settings.items()
    }


def open_to_all(directory: Path) -> grpc.ServerCredentials:
    """Encryption that asks for no certificate, for load generators that have none."""
    key, certificate = (directory / name for name in ("key.pem", "cert.pem"))
    return grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


if __name__ == "__main__":
    _directory, _database_url, _user_id = sys.argv[1:]
    for _name in ("service", "empty"):
        (Path(_directory) / _name).mkdir()
    uvloop.run(_run(Path(_directory), _database_url, _user_id))
