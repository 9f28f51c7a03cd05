"""The real Envoy before servers that have the real chain and contracts, and answer with nothing.

What such a server answers shows one thing alone: whether the call was let in.
"""

import importlib
import json
import pkgutil
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import aio as health

from chassis import registration
from chassis.registration import ServiceRegistration
from chassis.server import App
from chassis.testing import TestEnvironment
from deploy.gateway.contracts import Rpc, descriptors
from deploy.gateway.envoy import Endpoint, Gateway, configuration
from deploy.stack import readiness
from deploy.stack.layout import SERVICES, Ports
from deploy.stack.programs import Program
from deploy.stack.stack import envoy_binary

Answer = Callable[[Any], None]
"""What a handler does with its context before it answers: it may look, or refuse."""
NOTHING: Mapping[str, Answer] = {}
Manager = dict[str, Any]
"""The settings of Envoy's HTTP connection manager."""
# As the stack runs it: at the level below, field extraction writes a line for every call.
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


class Front:
    """A gateway, and the servers behind it."""

    def __init__(
        self,
        env: TestEnvironment,
        address: str,
        channel: grpc.aio.Channel,
        behind: dict[str, grpc.aio.Channel],
        access_log: Path,
    ) -> None:
        self.env = env
        self.address = address
        """Of the gateway, for gRPC; with `http://` before it, for HTTP."""
        self.channel = channel
        """To the gateway."""
        self._behind = behind
        self._access_log = access_log

    def straight(self, rpc: Rpc) -> grpc.aio.Channel:
        """The channel that leaves the gateway out."""
        return self._behind[rpc.upstream]

    async def logged(self, calls: int) -> list[dict[str, Any]]:
        """The access log, once it has so many lines."""

        async def whole() -> bool:
            return len(self._access_log.read_text().splitlines()) >= calls

        assert await readiness.wait_until(whole, lambda: True, seconds=10)
        return [json.loads(line) for line in self._access_log.read_text().splitlines()]


@asynccontextmanager
async def front(
    directory: Path,
    *,
    answers: Mapping[str, Answer] = NOTHING,
    amend: Callable[[Manager], None] | None = None,
    **decided: Any,
) -> AsyncIterator[Front]:
    """Starts servers for every contract, and Envoy with the configuration generated for them.

    RPCs in `answers` do that in place of answering with nothing; `amend` changes the public
    connection manager for a test; `decided` is what else an operator decides.
    """
    env = TestEnvironment(directory / "certificates")
    async with AsyncExitStack() as stack:
        security = await stack.enter_async_context(env.security())
        ops_port = await stack.enter_async_context(healthy())
        behind, endpoints = {}, {}
        for service in SERVICES:
            app = App(services=[*_answering(service, env, answers)], security=security)
            running = await stack.enter_async_context(env.serve(app, service))
            behind[service] = running.channel("gateway")
            endpoints[service] = [Endpoint("127.0.0.1", int(running.address.rpartition(":")[2]), ops_port)]
        env.credentials("gateway")
        public_port, keys, admin = free_ports(3)
        ports = Ports(public_port, keys, admin, services={})
        gateway = Gateway(
            descriptors=descriptors(),
            tls_directory=directory / "certificates" / "gateway",
            services=endpoints,
            # As it is deployed, where the machine can.
            host="::" if socket.has_dualstack_ipv6() else "127.0.0.1",
            port=ports.gateway,
            keys_port=ports.keys,
            admin_port=ports.admin,
            allowed_origins=["https://learn.example.org"],
            access_log=str(directory / "access.log"),
            **decided,
        )
        settings = configuration(gateway)
        if amend:
            [public, _] = settings["static_resources"]["listeners"]
            amend(public["filter_chains"][0]["filters"][0]["typed_config"])
        await stack.enter_async_context(envoy(settings, directory, ports))
        address = f"127.0.0.1:{ports.gateway}"
        channel = grpc.aio.insecure_channel(address, [("grpc.max_metadata_size", 32 * 1024)])
        stack.push_async_callback(channel.close)
        yield Front(env, address, channel, behind, directory / "access.log")


def lift_limits(manager: Manager) -> None:
    """For tests that call far more often than anybody may."""
    every = manager["http_filters"]
    manager["http_filters"] = [one for one in every if "local_ratelimit" not in one["name"]]
    assert len(manager["http_filters"]) < len(every)


@asynccontextmanager
async def envoy(settings: dict[str, Any], directory: Path, ports: Ports) -> AsyncIterator[None]:
    """Runs Envoy with this configuration until the body ends."""
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
            lambda: readiness.gateway_serves(ports), lambda: process.poll() is None, 30
        )
        assert alive, program.log.read_text()[-2000:]
        yield
    finally:
        process.kill()
        process.wait()


def _answering(
    service: str, env: TestEnvironment, answers: Mapping[str, Answer]
) -> Iterator[ServiceRegistration]:
    """Every gRPC service of one of ours, each RPC with an empty answer unless told; the keys are real."""
    for package, owner in CLUSTERS.items():
        if owner != service:
            continue
        for contract in _contracts(f"meno.{package}.v1"):
            [descriptor] = contract.DESCRIPTOR.services_by_name.values()
            handlers = {
                method.name: _handler(method, answers.get(method.name)) for method in descriptor.methods
            }
            if "GetJsonWebKeys" in handlers:
                handlers["GetJsonWebKeys"] = keys_of(env)
            yield registration.service(contract, type("AnswersNothing", (), handlers)())


def _handler(method: Any, answer: Answer | None) -> Any:
    reply = GetMessageClass(method.output_type)

    async def once(self: object, request: Any, context: Any) -> Any:
        if method.client_streaming:
            async for _ in request:
                pass
        if answer:
            answer(context)
        return reply()

    async def stream(self: object, request: Any, context: Any) -> AsyncIterator[Any]:
        if answer:
            answer(context)
        yield reply()

    return stream if method.server_streaming else once


def keys_of(env: TestEnvironment) -> Any:
    """A handler that answers with the house's keys."""

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
    """A health server that reports SERVING."""
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
