"""A service's process: its RPCs under mutual TLS on one port, its health on another.

It reports SERVING only when the account feed has been replayed, and on SIGTERM first
NOT_SERVING, then finishes the calls that run.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import grpc
import structlog
import uvloop
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import aio as health
from grpc_health.v1.health_pb2 import HealthCheckResponse
from grpc_reflection.v1alpha import reflection

from chassis import contracts
from chassis.interceptors import CHAIN, Chain, Guard, Stage
from chassis.settings import Settings
from chassis.tls import Identity

OPTIONS = (
    # A port in use is an error, not a second server that gets every other connection.
    ("grpc.so_reuseport", 0),
    ("grpc.max_metadata_size", 32 * 1024),
    ("grpc.absolute_max_metadata_size", 32 * 1024),
    # Above what the gateway lets in, so that a message that is too large is refused in our own words.
    ("grpc.max_receive_message_length", 9 * 1024 * 1024),
    ("grpc.max_concurrent_streams", 1000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
)

log = structlog.get_logger()

Background = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True)
class Served:
    """A gRPC service: its descriptor, the generated function that adds it, and who serves it."""

    descriptor: ServiceDescriptor
    add: Callable[[Any, grpc.aio.Server], None]
    servicer: Any


def served(contract: ModuleType, stubs: ModuleType, servicer: Any) -> Served:
    """The one service of a compiled contract file, served by `servicer`."""
    [descriptor] = contract.DESCRIPTOR.services_by_name.values()
    return Served(descriptor, getattr(stubs, f"add_{descriptor.name}Servicer_to_server"), servicer)


@dataclass(frozen=True)
class App:
    """What a service's composition root hands to the server."""

    services: Sequence[Served]
    guard: Guard
    background: Sequence[Background] = ()
    """Work that runs for as long as the process; if one ends, the process does."""


Compose = Callable[[Any], AbstractAsyncContextManager[App]]
"""A service's composition root: settings in, app out, everything closed at the end."""


def server(app: App, stages: tuple[Stage, ...] = CHAIN) -> grpc.aio.Server:
    """A gRPC server of the app's services behind the chain, without a port yet."""
    methods = [method for served in app.services for method in contracts.methods(served.descriptor)]
    built = grpc.aio.server(interceptors=[Chain(app.guard, methods, stages)], options=OPTIONS)
    for served in app.services:
        served.add(served.servicer, built)
    return built


def run(compose: Compose, settings: Settings) -> int:
    """Serves until SIGTERM or SIGINT: here for one port, in a child for each of several.

    Returns the exit status.
    """
    if len(settings.ports) > 1:
        return _run_workers(settings)
    uvloop.run(_serve(compose, settings))
    return 0


async def _serve(compose: Compose, settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with (
        compose(settings) as app,
        _background(app.background) as failure,
        _ops(app, settings) as status,
    ):
        ready = asyncio.create_task(app.guard.rights.ready.wait())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({ready, stopping, failure}, return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            serving = server(app)
            address = f"{settings.host}:{settings.ports[0]}"
            _bind(serving, address, Identity(settings.tls_directory).server_credentials())
            await serving.start()
            await status(HealthCheckResponse.SERVING)
            log.info("serving", port=settings.ports[0])
            await asyncio.wait({stopping, failure}, return_when=asyncio.FIRST_COMPLETED)
            await status(HealthCheckResponse.NOT_SERVING)
            log.info("draining", seconds=settings.drain_seconds)
            # What watches never ends by itself, and any stream can be taken up elsewhere.
            asyncio.get_running_loop().call_later(settings.drain_seconds / 4, app.guard.rights.drain)
            await serving.stop(settings.drain_seconds)
        ready.cancel()
        stopping.cancel()
        if failure.done():
            failure.result()


@asynccontextmanager
async def _background(work: Sequence[Background]) -> AsyncIterator["asyncio.Task[None]"]:
    """Runs the work beside the body; the task that is yielded ends when any of it fails."""

    async def together() -> None:
        async with asyncio.TaskGroup() as tasks:
            for item in work:
                tasks.create_task(item())
            await asyncio.Event().wait()

    task = asyncio.create_task(together())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def _ops(app: App, settings: Settings) -> AsyncIterator[Callable[[Any], Coroutine[Any, Any, None]]]:
    """Health and reflection in plain text, for probes and operators; never on the public port."""
    names = [served.descriptor.full_name for served in app.services]
    checks = health.HealthServicer()
    ops = grpc.aio.server(options=OPTIONS)
    health_pb2_grpc.add_HealthServicer_to_server(checks, ops)
    reflection.enable_server_reflection([*names, reflection.SERVICE_NAME], ops)
    _bind(ops, f"{settings.ops_host}:{settings.ops_ports[0]}", None)

    async def report(status: Any) -> None:
        for name in ("", *names):
            await checks.set(name, status)

    await report(HealthCheckResponse.NOT_SERVING)
    await ops.start()
    try:
        yield report
    finally:
        await ops.stop(None)


def _bind(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None) -> None:
    try:
        if credentials is None:
            server.add_insecure_port(address)
        else:
            server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise SystemExit(f"cannot listen on {address}: is the port in use?") from error


def _run_workers(settings: Settings) -> int:
    """One child a port; when one ends the others are stopped, and whoever started us decides."""
    if len(settings.ops_ports) != len(settings.ports):
        raise SystemExit("MENO_OPS_PORTS needs as many ports as MENO_PORTS")
    pairs = zip(settings.ports, settings.ops_ports, strict=True)
    workers = [subprocess.Popen(sys.orig_argv, env=_of_worker(*pair)) for pair in pairs]

    def stop(*_: object) -> None:
        for worker in workers:
            worker.terminate()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    stop()
    statuses = [worker.wait() for worker in workers]
    return int(any(statuses))


def _of_worker(port: int, ops_port: int) -> dict[str, str]:
    return {**os.environ, "MENO_PORTS": str(port), "MENO_OPS_PORTS": str(ops_port)}
