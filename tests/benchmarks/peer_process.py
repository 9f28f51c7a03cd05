"""Runs a peer in a separate process, and calls it."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from deploy.stack.layout import ROOT
from tests.local_stack import free_port

TIMEOUT_SECONDS = 30


@contextmanager
def peer(name: str, database_url: str, key_set: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Runs a peer and yields its URL and its process id."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", f"tests.benchmarks.peers.{name}:app"]
    command += ["--port", str(port), "--loop", "uvloop", "--http", "httptools"]
    command += ["--no-access-log", "--log-level", "warning"]
    # asyncpg does not support this parameter of libpq.
    supported = database_url.partition("&require_auth=")[0]
    settings = {
        "PEER_DATABASE_URL": supported.replace("postgresql://", "postgresql+asyncpg://", 1),
        "PEER_KEYS": json.dumps(key_set),
    }
    with process(command, env={**os.environ, **settings}) as running:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while running.poll() is None and time.monotonic() < deadline:
            try:
                get(url, {})
                break
            except urllib.error.URLError:
                time.sleep(0.05)
        yield url, running.pid


@contextmanager
def process(command: list[str], **how: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """Runs a command until the block ends."""
    running = subprocess.Popen(command, cwd=ROOT, **how)
    try:
        yield running
    finally:
        running.terminate()
        running.wait()


def get(url: str, headers: dict[str, str]) -> tuple[int, bytes]:
    """Makes a GET request and returns status and body."""
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def forge(token: str) -> str:
    """Returns the token with another signature."""
    signed, _, signature = token.rpartition(".")
    # The first character has six bits of the signature. The last characters could stay the same by chance.
    return f"{signed}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


def frame(message: bytes) -> bytes:
    """Returns an uncompressed gRPC message with its length prefix."""
    return b"\0" + len(message).to_bytes(4, "big") + message
