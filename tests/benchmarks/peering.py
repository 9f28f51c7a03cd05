"""A peer in a process of its own, and plain calls to it."""

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

PATIENCE = 30


@contextmanager
def peer(name: str, database_url: str, key_set: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Runs a peer; yields its URL and the id of its process."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", f"tests.benchmarks.peers.{name}:app"]
    command += ["--port", str(port), "--loop", "uvloop", "--http", "httptools"]
    command += ["--no-access-log", "--log-level", "warning"]
    # Its driver does not know what libpq may demand of a server.
    known = database_url.partition("&require_auth=")[0]
    settings = {
        "PEER_DATABASE_URL": known.replace("postgresql://", "postgresql+asyncpg://", 1),
        "PEER_KEYS": json.dumps(key_set),
    }
    with process(command, env={**os.environ, **settings}) as running:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + PATIENCE
        while running.poll() is None and time.monotonic() < deadline:
            try:
                get(url, {})
                break
            except urllib.error.URLError:
                time.sleep(0.05)
        yield url, running.pid


@contextmanager
def process(command: list[str], **how: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """Runs a command until the body ends."""
    running = subprocess.Popen(command, cwd=ROOT, **how)
    try:
        yield running
    finally:
        running.terminate()
        running.wait()


def get(url: str, headers: dict[str, str]) -> tuple[int, bytes]:
    """Status and body of one GET."""
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def framed(message: bytes) -> bytes:
    """A gRPC message as it travels: uncompressed, with its length."""
    return b"\0" + len(message).to_bytes(4, "big") + message
