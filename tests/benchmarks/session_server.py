"""Runs session_service and a server with an empty handler in a separate process, each behind a gateway.

    python -m tests.benchmarks.session_server DIRECTORY DATABASE_URL USER_ID

Prints a ServerInfo as one line of JSON when all servers are ready, and ends with SIGTERM.
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
from deploy.gateway.clusters import Endpoint
from deploy.gateway.contracts import descriptors
from deploy.gateway.envoy import Gateway, configuration
from deploy.stack.layout import SERVICES, Ports
from meno.access.v1 import key_set_service_pb2 as keys
from meno.session.v1 import resources_pb2 as session_resources
from meno.session.v1 import session_service_pb2 as sessions
from session_service.app import build_app
from session_service.settings import Settings
from tests.gateway.gateway_client import envoy, free_ports, healthy, keys_of

_UNLIMITED_TOKENS = 4_000_000_000


@dataclass(frozen=True)
class Addresses:
    """The two addresses of one server."""

    gateway: str
    """The gateway, without TLS, as clients use it."""
    direct: str
    """The server, with TLS, as the gateway uses it."""


@dataclass(frozen=True)
class ServerInfo:
    """The process and its addresses."""

    pid: int
    token: str
    key_set: Mapping[str, Any]
    """The key set that verifies the token."""
    service: Addresses
    empty: Addresses


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
        identity_client = await stack.enter_async_context(env.identity_client())
        app = await stack.enter_async_context(build_app(identity_client, settings))
        service = await stack.enter_async_context(_serve(env, app, directory / "service"))
        empty = await stack.enter_async_context(
            _serve(env, _create_empty_app(identity_client.security), directory / "empty")
        )
        token = env.issuer.token(user_id)
        info = ServerInfo(os.getpid(), token, env.issuer.key_set(), service, empty)
        sys.stdout.write(json.dumps(asdict(info)) + "\n")
        sys.stdout.flush()
        await stop.wait()


def _create_empty_app(security: SecurityContext) -> App:
    """Returns an app with the same interceptor chain, whose RPCs do nothing."""

    async def do_nothing(
        self: object, request: sessions.GetSessionRequest, context: Any
    ) -> session_resources.Session:
        return session_resources.Session()

    [contract] = sessions.DESCRIPTOR.services_by_name.values()
    servicer = type("EmptyServicer", (), dict.fromkeys(contract.methods_by_name, do_nothing))
    return App(services=[service(sessions, servicer())], security=security)


@asynccontextmanager
async def _serve(env: TestEnvironment, app: App, directory: Path) -> AsyncIterator[Addresses]:
    """Serves an app behind its own gateway."""
    [contract] = keys.DESCRIPTOR.services_by_name.values()
    # Only GetJsonWebKeys is called, but a registration requires every RPC of the service.
    servicer = type("KeySetServicer", (), dict.fromkeys(contract.methods_by_name, keys_of(env)))
    key_set = service(keys, servicer())
    async with (
        healthy() as ops,
        env.serve(App(services=[key_set], security=app.security), "identity_service") as identity,
    ):
        server = create_server(app)
        certificate = env.credentials("session_service")
        port = server.add_secure_port("127.0.0.1:0", certificate.server_credentials())
        direct = server.add_secure_port(
            "127.0.0.1:0", credentials_without_client_certificate(certificate.directory)
        )
        await server.start()
        # The gateway requires an endpoint for every service. The other services are never called.
        endpoints = {name: [Endpoint("127.0.0.1", port, ops)] for name in SERVICES}
        endpoints["identity_service"] = [Endpoint("127.0.0.1", _port(identity.address), ops)]
        try:
            async with _gateway(env, endpoints, directory) as address:
                yield Addresses(gateway=f"http://{address}", direct=f"https://127.0.0.1:{direct}")
        finally:
            await server.stop(None)


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
    settings = remove_rate_limits(configuration(gateway))
    async with envoy(settings, directory, Ports(public, keys_port, admin, services={})):
        yield f"127.0.0.1:{public}"


def remove_rate_limits(settings: Any) -> Any:
    """Returns a gateway configuration whose rate limits count every call and reject none."""
    if isinstance(settings, list):
        return [remove_rate_limits(value) for value in settings]
    if not isinstance(settings, dict):
        return settings
    return {
        name: {"max_tokens": _UNLIMITED_TOKENS, "tokens_per_fill": _UNLIMITED_TOKENS, "fill_interval": "60s"}
        if name == "token_bucket"
        else remove_rate_limits(value)
        for name, value in settings.items()
    }


def credentials_without_client_certificate(directory: Path) -> grpc.ServerCredentials:
    """Returns TLS credentials that require no client certificate, because load generators have none."""
    key, certificate = (directory / name for name in ("key.pem", "cert.pem"))
    return grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


if __name__ == "__main__":
    _directory, _database_url, _user_id = sys.argv[1:]
    for _name in ("service", "empty"):
        (Path(_directory) / _name).mkdir()
    uvloop.run(_run(Path(_directory), _database_url, _user_id))
