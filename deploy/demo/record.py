"""What the demo counts: calls and their latency, citations that were checked, refusals that were seen."""

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

_PATIENCE = 60.0


class Disappointed(Exception):
    """Something of the demo did not come out as promised."""


@dataclass
class Record:
    """The tally of one run."""

    milliseconds: list[float] = field(default_factory=list)
    first_text: list[float] = field(default_factory=list)
    """Milliseconds from a question to the first words of its answer."""
    citations: int = 0
    refusals: list[str] = field(default_factory=list)

    async def call(self, rpc: Callable[..., Awaitable[Reply]], request: Any, **how: Any) -> Reply:
        """Makes a unary call and notes how long it took."""
        began = time.perf_counter()
        reply = await rpc(request, timeout=_PATIENCE, **how)
        self.milliseconds.append(1000 * (time.perf_counter() - began))
        return reply

    async def stream(
        self, rpc: Callable[..., AsyncIterable[Reply]], request: Any, **how: Any
    ) -> AsyncIterator[Reply]:
        """Makes a streaming call and notes when its first message came."""
        began = time.perf_counter()
        first = True
        async for reply in rpc(request, timeout=_PATIENCE, **how):
            if first:
                self.milliseconds.append(1000 * (time.perf_counter() - began))
                first = False
            yield reply

    async def refused(self, what: str, call: Awaitable[Any], *codes: str) -> str:
        """Awaits a gRPC call that must be refused with one of these codes; returns how it was."""
        try:
            await call
        except grpc.aio.AioRpcError as error:
            return self._judged(what, error, codes)
        raise Disappointed(f"{what} was not refused")

    async def refused_soon(self, what: str, attempt: Callable[[], Awaitable[Any]], *codes: str) -> str:
        """Makes a gRPC call again and again, until it is refused; returns how it was, and after how long."""
        began = time.perf_counter()
        while (passed := time.perf_counter() - began) < _PATIENCE:
            try:
                await attempt()
            except grpc.aio.AioRpcError as error:
                return f"{self._judged(what, error, codes)} · after {1000 * passed:.0f} ms"
        raise Disappointed(f"{what} was not refused")

    async def refused_json(self, what: str, url: str, token: str, *statuses: int) -> str:
        """Makes a JSON call that must be refused with one of these HTTP statuses; returns how it was."""
        status, body = await asyncio.to_thread(_get, url, token)
        if status not in statuses:
            raise Disappointed(f"{what} was answered with HTTP {status}, not {statuses}")
        return self._note(what, f"HTTP {status} {body['details'][0]['reason']}")

    def summary(self) -> dict[str, str]:
        """The tally in words."""
        median = statistics.median(self.milliseconds)
        p95 = statistics.quantiles(self.milliseconds, n=20)[-1]
        first = statistics.median(self.first_text)
        return {
            "calls made": str(len(self.milliseconds)),
            "latency": f"median {median:.1f} ms · p95 {p95:.1f} ms",
            "first words of an answer": f"median {first:.0f} ms",
            "citations checked": f"{self.citations}, each to the exact words",
            "refusals seen": str(len(self.refusals)),
        }

    def _judged(self, what: str, error: grpc.aio.AioRpcError, codes: Sequence[str]) -> str:
        if error.code().name not in codes:
            raise Disappointed(f"{what} was refused with {error.code().name}, not {codes}") from error
        return self._note(what, f"{error.code().name} {_reason(error)}".strip())

    def _note(self, what: str, how: str) -> str:
        self.refusals.append(what)
        return how


def _reason(error: grpc.aio.AioRpcError) -> str:
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    info = ErrorInfo()
    if status is not None and any(detail.Unpack(info) for detail in status.details):
        return str(info.reason)
    return ""


def _get(url: str, token: str) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
