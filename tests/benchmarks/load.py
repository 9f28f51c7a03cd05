"""Calls as many as a target takes: by h2load where it is here, else by processes of our own."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Protocol

from tests.benchmarks import client

AT_ONCE = 32
"""Calls in flight."""
CONNECTIONS = 4
"""Of HTTP/2; a call of HTTP/1.1 has a connection to itself."""

_SUCCEEDED = re.compile(r"(\d+) succeeded")
_RATE = re.compile(r"finished in [\d.]+\w+, ([\d.]+) req/s")
_BODIES = re.compile(r"headers \(space savings [\d.]+%\), [\d.]+\w+ \((\d+)\) data")


class Failed(Exception):
    """Not every call was answered as it should be."""


@dataclass(frozen=True)
class Target:
    """A call that is made over and over."""

    url: str
    headers: Mapping[str, str]
    body: bytes | None
    """As gRPC frames it; None is a GET over HTTP/1.1."""
    answer: int
    """Bytes of the body of a good answer."""


class Load(Protocol):
    """Something that makes calls."""

    name: str

    def run(self, target: Target, calls: int) -> float:
        """Makes so many calls; returns calls a second. Raises Failed."""


class H2load:
    """The load generator of nghttp2."""

    name = "h2load"

    def run(self, target: Target, calls: int) -> float:
        """Makes so many calls; returns calls a second. Raises Failed."""
        with tempfile.NamedTemporaryFile(prefix="meno-benchmark-") as body:
            command = ["h2load", "-n", str(calls), "-t", "1"]
            for name, value in target.headers.items():
                command += ["-H", f"{name}: {value}"]
            if target.body is None:
                command += ["--h1", "-c", str(AT_ONCE)]
            else:
                body.write(target.body)
                body.flush()
                streams = AT_ONCE // CONNECTIONS
                command += ["-d", body.name, "-c", str(CONNECTIONS), "-m", str(streams)]
            ran = subprocess.run([*command, target.url], capture_output=True, text=True, check=False)
        succeeded, rate, bodies = (pattern.search(ran.stdout) for pattern in (_SUCCEEDED, _RATE, _BODIES))
        # gRPC refuses with HTTP's 200 as well, but without a body.
        if not (succeeded and rate and bodies):
            raise Failed(f"h2load: {ran.stderr or ran.stdout}")
        if int(succeeded[1]) != calls or int(bodies[1]) != calls * target.answer:
            raise Failed(f"{target.url} did not answer every call: {ran.stdout}")
        return float(rate[1])


class Crowd:
    """Two processes of Python, each with half of the calls: slower than h2load, and the same for all."""

    name = "2 client processes (h2load is not here)"

    def __init__(self) -> None:
        self._processes = ProcessPoolExecutor(2, mp_context=get_context("spawn"))

    def run(self, target: Target, calls: int) -> float:
        """Makes so many calls; returns calls a second. Raises Failed."""
        half = client.Work(
            target.url, dict(target.headers), target.body, target.answer, calls // 2, AT_ONCE // 2
        )
        running = [self._processes.submit(client.run, half) for _ in range(2)]
        spans = [process.result() for process in running]
        started, ended = min(started for started, _ in spans), max(ended for _, ended in spans)
        return 2 * half.calls / (ended - started)


def best() -> Load:
    """The best load generator of this machine."""
    return H2load() if shutil.which("h2load") else Crowd()
