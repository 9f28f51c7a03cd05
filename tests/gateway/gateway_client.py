"""Runs Envoy in front of servers with the real interceptors and contracts and with empty handlers.

A reply of such a server shows only whether the call was permitted.
"""

import importlib
import json
import pkgutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc
import httpx2 as httpx
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import aio as health

from chassis import registration
from chassis.registration import ServiceRegistration
from chassis.server import App
from chassis.testing import TestEnvironment
from deploy.gateway.clusters import Endpoint
from deploy.gateway.contracts import Rpc, descriptors
from deploy.gateway.envoy import Gateway, configuration
from deploy.stack import readiness
from deploy.stack.layout import SERVICES, Ports
from deploy.stack.programs import Program
from deploy.stack.stack import envoy_binary
from tests.local_stack import GUARD_SECONDS

Hook = Callable[[Any], Awaitable[None] | None]
"""Receives the context of a call before the reply. It may raise an error, or return what the reply waits for."""
NO_HOOKS: Mapping[str, Hook] = {}
NO_PORTS: Mapping[str, int] = {}
CLASS = "018f0000-0000-7000-8000-0000000000c1"
"""The class of the users of these tests."""
SIGN_INS = 20
"""The limit that `limit_sign_ins` sets."""
Manager = dict[str, Any]
"""The settings of the HTTP connection manager of Envoy."""
# The log level of the stack. At the next lower level, field extraction logs every call.
FLAGS = [
    "--disable-hot-restart",
    "--concurrency",
    "1",
    "--log-level",
    "warning",
    "--file-flush-interval-msec",
    "50",
]
CLUSTERS = {"access": "identity_service", **{name.removesuffix("_service"): name for name in SERVICES}}


class GatewayClient:
    """A running gateway with channels to it and to the servers behind it."""

    def __init__(
        self,
        env: TestEnvironment,
        address: str,
        channel: grpc.aio.Channel,
        servers: dict[str, grpc.aio.Channel],
        server_ports: dict[str, int],
        access_log: Path,
    ) -> None:
        self.env = env
        self.address = address
        """Host and port of the gateway."""
        self.channel = channel
        """Channel to the gateway."""
        self.server_ports = server_ports
        """Ports of the servers behind the gateway, by service."""
        self._servers = servers
        self._access_log = access_log

    def direct(self, rpc: Rpc) -> grpc.aio.Channel:
        """Returns the channel that bypasses the gateway."""
        return self._servers[rpc.upstream]

    async def read_access_log(self, calls: int) -> list[dict[str, Any]]:
        """Returns the access log as soon as it has the given number of lines."""

        async def is_complete() -> bool:
            return len(self._access_log.read_text().splitlines()) >= calls

        assert await readiness.wait_until(is_complete, lambda: True, seconds=GUARD_SECONDS)
        return [json.loads(line) for line in self._access_log.read_text().splitlines()]


@asynccontextmanager
async def start_gateway(
    directory: Path,
    *,
    hooks: Mapping[str, Hook] = NO_HOOKS,
    modify: Callable[[Manager], None] | None = None,
    connect_to: Mapping[str, int] = NO_PORTS,
    **options: Any,
) -> AsyncIterator[GatewayClient]:
    """Starts servers for every contract, and Envoy with the generated configuration.

    `hooks` are called by the RPCs with these names. `modify` changes the public connection manager.
    `connect_to` are ports to which Envoy connects in place of the port of a service. `options` are further
    settings of the gateway.
    """
    env = TestEnvironment(directory / "certificates")
    async with AsyncExitStack() as stack:
        security = await stack.enter_async_context(env.security())
        ops_port = await stack.enter_async_context(healthy())
        servers, server_ports, endpoints = {}, {}, {}
        for service in SERVICES:
            app = App(services=[*_registrations(service, env, hooks)], security=security)
            running = await stack.enter_async_context(env.serve(app, service))
            servers[service] = running.channel("gateway")
            server_ports[service] = int(running.address.rpartition(":")[2])
            port = connect_to.get(service, server_ports[service])
            endpoints[service] = [Endpoint("127.0.0.1", port, ops_port)]
        env.credentials("gateway")
        public_port, keys, admin = free_ports(3)
        ports = Ports(public_port, keys, admin, services={})
        config = Gateway(
            descriptors=descriptors(),
            tls_directory=directory / "certificates" / "gateway",
            services=endpoints,
            # The default of a deployment, if the machine supports IPv6.
            host="::" if socket.has_dualstack_ipv6() else "127.0.0.1",
            port=ports.gateway,
            keys_port=ports.keys,
            admin_port=ports.admin,
            allowed_origins=["https://learn.example.org"],
            access_log=str(directory / "access.log"),
            **options,
        )
        settings = configuration(config)
        if modify:
            [public, _] = settings["static_resources"]["listeners"]
            modify(public["filter_chains"][0]["filters"][0]["typed_config"])
        await stack.enter_async_context(envoy(settings, directory, ports))
        address = f"127.0.0.1:{ports.gateway}"
        channel = grpc.aio.insecure_channel(address, [("grpc.max_metadata_size", 32 * 1024)])
        stack.push_async_callback(channel.close)
        yield GatewayClient(env, address, channel, servers, server_ports, directory / "access.log")


def remove_rate_limits(manager: Manager) -> None:
    """Removes the rate limits, for tests that exceed them."""
    filters = manager["http_filters"]
    manager["http_filters"] = [one for one in filters if "local_ratelimit" not in one["name"]]
    assert len(manager["http_filters"]) < len(filters)


def limit_sign_ins(manager: Manager) -> None:
    """Lowers the rate limit of SignIn to `SIGN_INS` calls.

    The limit of the contract is 300 a minute. A client on a busy machine makes too few calls to exceed it, because
    the bucket is refilled five times a second.
    """
    [by_person] = [
        one for one in manager["http_filters"] if one["name"].endswith("local_ratelimit.by_person")
    ]
    rpc = {"key": "rpc", "value": "/meno.identity.v1.AuthService/SignIn"}
    [limit] = [one for one in by_person["typed_config"]["descriptors"] if rpc in one["entries"]]
    limit["token_bucket"] = {"max_tokens": SIGN_INS, "tokens_per_fill": 1, "fill_interval": "60s"}


async def call_until_rejected(call: Callable[[int], Awaitable[str]], attempts: int) -> tuple[int, str]:
    """Calls until a call is rejected. Returns the number of permitted calls and the outcome of the last one.

    The number varies, because the bucket is refilled meanwhile.
    """
    for number in range(attempts):
        outcome = await call(number)
        if outcome != "OK":
            return number, outcome
    raise AssertionError("no call was rejected")


@asynccontextmanager
async def envoy(settings: dict[str, Any], directory: Path, ports: Ports) -> AsyncIterator[None]:
    """Runs Envoy with a configuration for the body."""
    config = directory / "envoy.json"
    config.write_text(json.dumps(settings))
    program = Program(
        name="envoy",
        command=(str(envoy_binary()), "-c", str(config), *FLAGS),
        log=directory / "envoy.log",
    )
    process = program.start()
    try:
        alive = await readiness.wait_until(
            lambda: readiness.gateway_serves(ports), lambda: process.poll() is None, GUARD_SECONDS
        )
        assert alive, program.log.read_text()[-2000:]
        yield
    finally:
        process.kill()
        process.wait()


def _registrations(
    service: str, env: TestEnvironment, hooks: Mapping[str, Hook]
) -> Iterator[ServiceRegistration]:
    """Yields the gRPC services of a service with empty handlers. Only GetJsonWebKeys has a real reply."""
    for package, owner in CLUSTERS.items():
        if owner != service:
            continue
        for contract in _contracts(f"meno.{package}.v1"):
            [descriptor] = contract.DESCRIPTOR.services_by_name.values()
            handlers = {
                method.name: _handler(method, hooks.get(method.name)) for method in descriptor.methods
            }
            if "GetJsonWebKeys" in handlers:
                handlers["GetJsonWebKeys"] = keys_of(env)
            yield registration.service(contract, type("EmptyServicer", (), handlers)())


def _handler(method: Any, hook: Hook | None) -> Any:
    reply = GetMessageClass(method.output_type)

    async def unary(self: object, request: Any, context: Any) -> Any:
        if method.client_streaming:
            async for _ in request:
                pass
        await _run(hook, context)
        return reply()

    async def stream(self: object, request: Any, context: Any) -> AsyncIterator[Any]:
        await _run(hook, context)
        yield reply()

    return stream if method.server_streaming else unary


async def _run(hook: Hook | None, context: Any) -> None:
    waiting = hook(context) if hook else None
    if waiting is not None:
        await waiting


def keys_of(env: TestEnvironment) -> Any:
    """Returns a handler that replies with the keys of the token issuer."""

    async def keys(self: object, request: Any, context: Any) -> HttpBody:
        return HttpBody(content_type="application/json", data=json.dumps(env.issuer.key_set()).encode())

    return keys


def _contracts(package: str) -> Iterator[ModuleType]:
    module = importlib.import_module(package)
    for found in pkgutil.iter_modules(module.__path__):
        if found.name.endswith("_service_pb2"):
            yield importlib.import_module(f"{package}.{found.name}")


@asynccontextmanager
async def healthy() -> AsyncIterator[int]:
    """Runs a health server that reports SERVING. Yields its port."""
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


def free_ports(count: int) -> list[int]:
    """Returns ports that no process listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def authorized(token: str) -> dict[str, str]:
    """Returns the headers of an HTTP request with an access token."""
    return {"authorization": f"Bearer {token}"}


def reason(reply: httpx.Response) -> str:
    """Returns the reason of a JSON error, which must have only a code, a message and details."""
    body = reply.json()
    assert set(body) == {"code", "message", "details"}
    assert body["message"]
    [info] = [detail for detail in body["details"] if detail["@type"].endswith("google.rpc.ErrorInfo")]
    assert info["domain"] == "meno"
    return str(info["reason"])
