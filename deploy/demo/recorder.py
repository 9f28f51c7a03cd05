"""Records the calls of the demo with their latency, the verified citations and the rejected calls."""

import asyncio
import json
import statistics
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

Reply = TypeVar("Reply")

_TIMEOUT_SECONDS = 60.0


class ExpectationFailed(Exception):
    """A result of the demo differs from the expected one."""


@dataclass
class Recorder:
    """The records of one run."""

    latencies_ms: list[float] = field(default_factory=list)
    first_text_ms: list[float] = field(default_factory=list)
    """Time from each question to the first words of its answer."""
    citations: int = 0
    rejections: list[str] = field(default_factory=list)

    async def call(self, rpc: Callable[..., Awaitable[Reply]], request: Any, **options: Any) -> Reply:
        """Makes a unary call and records its latency."""
        began = time.perf_counter()
        reply = await rpc(request, timeout=_TIMEOUT_SECONDS, **options)
        self.latencies_ms.append(1000 * (time.perf_counter() - began))
        return reply

    async def stream(
        self, rpc: Callable[..., AsyncIterable[Reply]], request: Any, **options: Any
    ) -> AsyncIterator[Reply]:
        """Makes a streaming call and records the latency of its first message."""
        began = time.perf_counter()
        first = True
        async for reply in rpc(request, timeout=_TIMEOUT_SECONDS, **options):
            if first:
                self.latencies_ms.append(1000 * (time.perf_counter() - began))
                first = False
            yield reply

    async def expect_rejection(self, name: str, call: Awaitable[Any], *codes: str) -> str:
        """Awaits a gRPC call that must fail with one of the codes. Returns the code and the reason.

        Raises ExpectationFailed if the call does not fail in this way.
        """
        try:
            await call
        except grpc.aio.AioRpcError as error:
            return self._check_code(name, error, codes)
        raise ExpectationFailed(f"{name}: the call was not rejected")

    async def expect_eventual_rejection(
        self, name: str, attempt: Callable[[], Awaitable[Any]], *codes: str
    ) -> str:
        """Repeats a gRPC call until it fails with one of the codes. Returns the code, the reason and the delay.

        Raises ExpectationFailed if the call does not fail in this way within a minute.
        """
        began = time.perf_counter()
        while (elapsed := time.perf_counter() - began) < _TIMEOUT_SECONDS:
            try:
                await attempt()
            except grpc.aio.AioRpcError as error:
                return f"{self._check_code(name, error, codes)} · after {1000 * elapsed:.0f} ms"
        raise ExpectationFailed(f"{name}: the call was not rejected")

    async def expect_json_rejection(self, name: str, url: str, token: str, *statuses: int) -> str:
        """Makes an HTTP call that must fail with one of the statuses. Returns the status and the reason.

        Raises ExpectationFailed if the call does not fail in this way.
        """
        status, body = await asyncio.to_thread(_get, url, token)
        if status not in statuses:
            raise ExpectationFailed(f"{name}: HTTP {status} instead of {statuses}")
        return self._add(name, f"HTTP {status} {body['details'][0]['reason']}")

    def summary(self) -> dict[str, str]:
        """Returns the records as labelled texts."""
        median = statistics.median(self.latencies_ms)
        p95 = statistics.quantiles(self.latencies_ms, n=20)[-1]
        first = statistics.median(self.first_text_ms)
        return {
            "calls": str(len(self.latencies_ms)),
            "latency": f"median {median:.1f} ms · p95 {p95:.1f} ms",
            "time to the first words": f"median {first:.0f} ms",
            "verified citations": f"{self.citations}, each verbatim",
            "rejected calls": str(len(self.rejections)),
        }

    def _check_code(self, name: str, error: grpc.aio.AioRpcError, codes: Sequence[str]) -> str:
        if error.code().name not in codes:
            raise ExpectationFailed(f"{name}: {error.code().name} instead of {codes}") from error
        return self._add(name, f"{error.code().name} {_reason(error)}".strip())

    def _add(self, name: str, outcome: str) -> str:
        self.rejections.append(name)
        return outcome


def _reason(error: grpc.aio.AioRpcError) -> str:
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    info = ErrorInfo()
    if status is not None and any(detail.Unpack(info) for detail in status.details):
        return str(info.reason)
    return ""


def _get(url: str, token: str) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
