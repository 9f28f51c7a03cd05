"""The whole stack as `make up` runs it, in a directory and on a port of its own."""

import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from rich.console import Console

from deploy.stack import control, readiness
from deploy.stack.layout import Layout
from deploy.stack.postgres import Postgres
from deploy.stack.state import State, load


@contextmanager
def stack(directory: Path) -> Iterator[Layout]:
    """Starts a stack, and leaves nothing of it behind."""
    layout = Layout(directory, free_port())
    try:
        control.up(layout, Console(quiet=True))
        yield layout
    finally:
        control.down(layout)
        Postgres(directory).remove()


def state(layout: Layout) -> State:
    """What the supervisor says now."""
    found = load(layout)
    assert found is not None, "the stack does not run"
    return found


def kill(layout: Layout, program: str) -> psutil.Process:
    """Kills one program with SIGKILL."""
    process = psutil.Process(state(layout).programs[program].pid)
    process.kill()
    return process


async def until(met: Callable[[], bool]) -> None:
    """Returns when it is so; fails where it takes too long."""

    async def check() -> bool:
        return met()

    assert await readiness.wait_until(check, lambda: True, seconds=30)


def command(*arguments: str, directory: Path, port: int = 0) -> "subprocess.CompletedProcess[str]":
    """Runs `python -m deploy.cli` as make does."""
    environment = {**os.environ, "MENO_LOCAL_DIRECTORY": str(directory), "PORT": str(port or free_port())}
    return subprocess.run(
        [sys.executable, "-m", "deploy.cli", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


def meno(layout: Layout, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Runs the installed command on a stack, for somebody who has no settings of their own but these."""
    return subprocess.run(
        [Path(sys.executable).with_name("meno"), *arguments],
        env={**at(layout), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def at(layout: Layout) -> dict[str, str]:
    """The environment in which `meno` means a stack."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MENO_")}
    place = {
        "MENO_LOCAL_DIRECTORY": str(layout.directory),
        "XDG_CONFIG_HOME": str(layout.directory / "config"),
    }
    return {**own, **place}


def code_sent(layout: Layout, address: str) -> str:
    """The code that identity_service wrote into its log for an address, or an empty text."""
    lines = layout.log("identity_service").read_text().splitlines()
    sent = [json.loads(one) for one in lines if address in one and '"code"' in one]
    return str(sent[-1]["code"]) if sent else ""


@contextmanager
def full_disk() -> Iterator[None]:
    """No file can be written."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
