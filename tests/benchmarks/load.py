"""Generates load with h2load if it is installed, otherwise with two client processes."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Protocol

from tests.benchmarks import load_client

MAX_IN_FLIGHT = 32
CONNECTIONS = 4
"""The number of HTTP/2 connections. With HTTP/1.1 each call in flight has its own connection."""

_SUCCEEDED = re.compile(r"(\d+) succeeded")
_RATE = re.compile(r"finished in [\d.]+\w+, ([\d.]+) req/s")
_BODIES = re.compile(r"headers \(space savings [\d.]+%\), [\d.]+\w+ \((\d+)\) data")


class LoadFailed(Exception):
    """A call failed or returned another response than expected."""


@dataclass(frozen=True)
class Target:
    """A call to repeat."""

    url: str
    headers: Mapping[str, str]
    body: bytes | None
    """The framed gRPC message, or None for a GET over HTTP/1.1."""
    response_bytes: int
    """The size of the body of a correct response."""


class LoadGenerator(Protocol):
    """Repeats a call as fast as the target permits."""

    name: str

    def run(self, target: Target, calls: int) -> float:
        """Makes this number of calls and returns the calls per second. Raises LoadFailed."""


class H2load:
    """Runs h2load, the load generator of nghttp2."""

    name = "h2load"

    def run(self, target: Target, calls: int) -> float:
        """Makes this number of calls and returns the calls per second. Raises LoadFailed."""
        with tempfile.NamedTemporaryFile(prefix="meno-benchmark-") as body:
            command = ["h2load", "-n", str(calls), "-t", "1"]
            for name, value in target.headers.items():
                command += ["-H", f"{name}: {value}"]
            if target.body is None:
                command += ["--h1", "-c", str(MAX_IN_FLIGHT)]
            else:
                body.write(target.body)
                body.flush()
                streams = MAX_IN_FLIGHT // CONNECTIONS
                command += ["-d", body.name, "-c", str(CONNECTIONS), "-m", str(streams)]
            ran = subprocess.run([*command, target.url], capture_output=True, text=True, check=False)
        succeeded, rate, bodies = (pattern.search(ran.stdout) for pattern in (_SUCCEEDED, _RATE, _BODIES))
        # gRPC errors also have HTTP status 200, but they have no body.
        if not (succeeded and rate and bodies):
            raise LoadFailed(f"h2load: {ran.stderr or ran.stdout}")
        if int(succeeded[1]) != calls or int(bodies[1]) != calls * target.response_bytes:
            raise LoadFailed(f"{target.url} did not return the expected response to every call: {ran.stdout}")
        return float(rate[1])


class ClientProcesses:
    """Runs two Python processes with half of the calls each. They are slower than h2load, but equal for all targets."""

    name = "2 client processes (h2load is not installed)"

    def __init__(self) -> None:
        self._processes = ProcessPoolExecutor(2, mp_context=get_context("spawn"))

    def run(self, target: Target, calls: int) -> float:
        """Makes this number of calls and returns the calls per second. Raises LoadFailed."""
        half = load_client.Work(
            target.url,
            dict(target.headers),
            target.body,
            target.response_bytes,
            calls // 2,
            MAX_IN_FLIGHT // 2,
        )
        running = [self._processes.submit(load_client.run, half) for _ in range(2)]
        spans = [process.result() for process in running]
        started, ended = min(started for started, _ in spans), max(ended for _, ended in spans)
        return 2 * half.calls / (ended - started)


def best() -> LoadGenerator:
    """Returns the best load generator of this machine."""
    return H2load() if shutil.which("h2load") else ClientProcesses()
