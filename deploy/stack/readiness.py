"""Readiness checks of the services and the gateway."""

import asyncio
import re
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from deploy.stack.layout import SERVICES, Ports

_TIMEOUT_SECONDS = 2.0
_POLL_INTERVAL_SECONDS = 0.05
_STATISTIC = re.compile(r"^(\S+): (\d+)$", re.MULTILINE)


async def wait_until(check: Callable[[], Awaitable[bool]], alive: Callable[[], bool], seconds: float) -> bool:
    """Polls a check until it is true. Returns False if the program ends or the time is over."""
    deadline = time.monotonic() + seconds
    while not await check():
        if not alive() or time.monotonic() > deadline:
            return False
        await asyncio.sleep(_POLL_INTERVAL_SECONDS)
    return True


async def service_serves(ops_port: int) -> bool:
    """Returns whether a service reports SERVING."""
    # Most checks of a start find no listener. A failed call takes ten times as long as a refused connection.
    if not await _listens(ops_port):
        return False
    async with grpc.aio.insecure_channel(f"127.0.0.1:{ops_port}") as channel:
        try:
            reply = await health_pb2_grpc.HealthStub(channel).Check(  # type: ignore[attr-defined]
                HealthCheckRequest(), timeout=_TIMEOUT_SECONDS
            )
        except grpc.aio.AioRpcError:
            return False
    return bool(reply.status == HealthCheckResponse.SERVING)


async def gateway_serves(ports: Ports) -> bool:
    """Returns whether the gateway has the keys and a healthy worker of every service."""
    url = f"http://127.0.0.1:{ports.admin}/stats?filter=jwks_fetch_success|membership_healthy"
    try:
        text = await asyncio.to_thread(_get, url)
    except (OSError, urllib.error.URLError):
        return False
    statistics = {name: int(value) for name, value in _STATISTIC.findall(text)}
    required = ["http.public.jwt_authn.jwks_fetch_success"]
    required += [f"cluster.{service}.membership_healthy" for service in SERVICES]
    return all(statistics.get(name, 0) > 0 for name in required)


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as reply:
        content: bytes = reply.read()
    return content.decode()
