"""The process of a service: RPCs over mutual TLS on one port, health and reflection on another.

The process reports SERVING after the account feed is replayed. On SIGTERM it first reports NOT_SERVING, and
then finishes the calls in flight.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import grpc
import uvloop
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import aio as health
from grpc_health.v1.health_pb2 import HealthCheckResponse
from grpc_reflection.v1alpha import reflection

from chassis.background import BackgroundTask
from chassis.interceptors.chain import Chain
from chassis.registration import ServiceRegistration
from chassis.security import SecurityContext
from chassis.settings import Settings
from chassis.telemetry import get_logger
from chassis.tls import TlsCredentials

_SWITCH_SECONDS = 0.001
"""The time after which a thread must let the event loop run.

While another user appended large events without pause, GetSession took 37 ms with the default of 5 ms, and 15 ms with
this (medians of 200 calls).
"""
_MAX_METADATA_BYTES = 36 * 1024
"""The 30 KiB of headers that the gateway accepts, and up to 4 KiB that it adds."""

OPTIONS = (
    # A used port is an error. With SO_REUSEPORT, a second server would start and get random connections.
    ("grpc.so_reuseport", 0),
    ("grpc.max_metadata_size", _MAX_METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", _MAX_METADATA_BYTES),
    # Four times the limit of the chain, so that a message that is too large gets the error of the chain.
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    ("grpc.max_concurrent_streams", 1000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
)

log = get_logger()

AnySettings = TypeVar("AnySettings", bound=Settings)


@dataclass(frozen=True)
class App:
    """The result of a service's composition root."""

    services: Sequence[ServiceRegistration]
    security: SecurityContext
    background: Sequence[BackgroundTask] = ()
    """Tasks that run as long as the process. If one ends, the process ends."""


AppFactory: TypeAlias = Callable[[AnySettings], AbstractAsyncContextManager[App]]
"""A service's composition root. It opens the app of the settings, and closes everything at the end."""


def create_server(app: App) -> grpc.aio.Server:
    """Returns a gRPC server of the app's services behind the interceptor chain, without a port."""
    server = grpc.aio.server(options=OPTIONS)
    chain = Chain(app.security)
    for service in app.services:
        service.add_to(server, chain)
    return server


def run(create_app: AppFactory[AnySettings], settings: AnySettings) -> int:
    """Serves until SIGTERM or SIGINT and returns the exit status.

    One port is served by this process. Several ports are served by one child process each.
    """
    if len(settings.ports) > 1:
        return _run_workers(settings)
    sys.setswitchinterval(_SWITCH_SECONDS)
    uvloop.run(_serve(create_app, settings))
    return 0


async def _serve(create_app: AppFactory[AnySettings], settings: AnySettings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with (
        create_app(settings) as app,
        _run_background(app.background) as failure,
        _serve_operations(app, settings) as report_health,
    ):
        ready = asyncio.create_task(app.security.revocations.ready.wait())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({ready, stopping, failure}, return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            server = create_server(app)
            address = f"{settings.host}:{settings.ports[0]}"
            _bind(server, address, TlsCredentials(settings.tls_directory).server_credentials())
            await server.start()
            await report_health(HealthCheckResponse.SERVING)
            log.info("serving", port=settings.ports[0])
            await asyncio.wait({stopping, failure}, return_when=asyncio.FIRST_COMPLETED)
            await report_health(HealthCheckResponse.NOT_SERVING)
            log.info("draining", seconds=settings.drain_seconds)
            # Watch streams never finish on their own; close them early in the drain. Clients resume on
            # another replica (decision 7).
            asyncio.get_running_loop().call_later(settings.drain_seconds / 4, app.security.revocations.drain)
            await server.stop(settings.drain_seconds)
        ready.cancel()
        stopping.cancel()
        if failure.done():
            failure.result()


@asynccontextmanager
async def _run_background(tasks: Sequence[BackgroundTask]) -> AsyncIterator["asyncio.Task[None]"]:
    """Runs the tasks beside the body. The yielded task ends as soon as one of them fails."""

    async def run_all() -> None:
        async with asyncio.TaskGroup() as group:
            for task in tasks:
                group.create_task(_await(task))
            await asyncio.Event().wait()

    running = asyncio.create_task(run_all())
    try:
        yield running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _await(task: BackgroundTask) -> None:
    await task()


@asynccontextmanager
async def _serve_operations(app: App, settings: Settings) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """Serves health and reflection in plain text for probes and operators, never on the public port.

    Yields a function that sets the health status of every service of the app.
    """
    names = [service.descriptor.full_name for service in app.services]
    checks = health.HealthServicer()
    server = grpc.aio.server(options=OPTIONS)
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    reflection.enable_server_reflection([*names, reflection.SERVICE_NAME], server)
    _bind(server, f"{settings.ops_host}:{settings.ops_ports[0]}", None)

    async def report(status: int) -> None:
        for name in ("", *names):
            await checks.set(name, status)

    await report(HealthCheckResponse.NOT_SERVING)
    await server.start()
    try:
        yield report
    finally:
        await server.stop(None)


def _bind(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None) -> None:
    try:
        if credentials is None:
            server.add_insecure_port(address)
        else:
            server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise SystemExit(f"cannot listen on {address}: is the port in use?") from error


def _run_workers(settings: Settings) -> int:
    """Runs one child process for each port. When one ends, the others are stopped."""
    if len(settings.ops_ports) != len(settings.ports):
        raise SystemExit("MENO_OPS_PORTS must have as many ports as MENO_PORTS")
    pairs = zip(settings.ports, settings.ops_ports, strict=True)
    workers = [subprocess.Popen(sys.orig_argv, env=_worker_environment(*pair)) for pair in pairs]

    def stop(*_: object) -> None:
        for worker in workers:
            worker.terminate()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    stop()
    statuses = [worker.wait() for worker in workers]
    return int(any(statuses))


def _worker_environment(port: int, ops_port: int) -> dict[str, str]:
    return {**os.environ, "MENO_PORTS": str(port), "MENO_OPS_PORTS": str(ops_port)}
