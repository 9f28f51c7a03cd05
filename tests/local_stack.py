"""A local stack in a directory and on a port of its own, started as `make up` starts it."""

import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil
from rich.console import Console

from deploy.stack import control, readiness
from deploy.stack.layout import Layout
from deploy.stack.postgres import Postgres
from deploy.stack.stack import Stack
from deploy.stack.state import State, load

GUARD_SECONDS = 150
"""The longest wait for one event. It only ends a test that hangs; a busy machine needs a part of it."""


@contextmanager
def start(directory: Path) -> Iterator[Layout]:
    """Starts a stack, and at the end stops it and deletes its data."""
    layout = Layout(directory, free_port())
    try:
        control.up(layout, Console(quiet=True))
        yield layout
    finally:
        control.down(layout)
        Postgres(directory).remove()


def load_state(layout: Layout) -> State:
    """Returns the current state of a running stack."""
    state = load(layout)
    assert state is not None, "the stack is not running"
    return state


def kill(layout: Layout, program: str) -> psutil.Process:
    """Kills one program with SIGKILL and returns its process."""
    process = psutil.Process(load_state(layout).programs[program].pid)
    process.kill()
    return process


async def wait_until(condition: Callable[[], bool]) -> None:
    """Returns when the condition is true."""

    async def check() -> bool:
        return condition()

    assert await readiness.wait_until(check, lambda: True, seconds=GUARD_SECONDS)


async def wait_until_ready(layout: Layout) -> None:
    """Returns when every service and the gateway are ready, also after programs were killed."""
    ports = Stack.running(layout, load_state(layout)).ports
    checks = [partial(readiness.service_serves, ops_port) for _, ops_port in ports.services.values()]
    for check in (*checks, partial(readiness.gateway_serves, ports)):
        assert await readiness.wait_until(check, lambda: True, seconds=GUARD_SECONDS)


def run_module(*arguments: str, directory: Path, port: int = 0) -> "subprocess.CompletedProcess[str]":
    """Runs `python -m deploy.cli`, as make does."""
    environment = {**os.environ, "MENO_LOCAL_DIRECTORY": str(directory), "PORT": str(port or free_port())}
    return subprocess.run(
        [sys.executable, "-m", "deploy.cli", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def run_meno(layout: Layout, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Runs the installed command against a stack. It has no other MENO_ settings than these."""
    return subprocess.run(
        [Path(sys.executable).with_name("meno"), *arguments],
        env={**cli_environment(layout), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def cli_environment(layout: Layout) -> dict[str, str]:
    """Returns an environment in which `meno` uses this stack."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MENO_") or name.startswith("MENO_TEST_")
    }
    own = {
        "MENO_LOCAL_DIRECTORY": str(layout.directory),
        "XDG_CONFIG_HOME": str(layout.directory / "config"),
    }
    return {**inherited, **own}


def find_one_time_code(layout: Layout, address: str) -> str:
    """Returns the last code that identity_service logged for an address, or an empty text."""
    lines = layout.log("identity_service").read_text().splitlines()
    sent = [json.loads(line) for line in lines if address in line and '"code"' in line]
    return str(sent[-1]["code"]) if sent else ""


@contextmanager
def full_disk() -> Iterator[None]:
    """Makes every write to a file fail."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def free_port() -> int:
    """Returns a port that no program listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
