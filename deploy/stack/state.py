"""The state of the supervisor, in a file that is replaced atomically, and its lock."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from deploy.stack.layout import Layout

EXIT_ALREADY_RUNNING = 3
"""The exit status of a supervisor if another one is running."""
STOP_TIMEOUT_SECONDS = 30.0
"""Longer than a service needs to stop: 20 s of drain, then 5 s for the answers still being written."""


@dataclass
class Running:
    """A running program."""

    name: str
    pid: int
    started_at: float
    """Seconds since the epoch."""
    restarts: int = 0


@dataclass
class State:
    """The state of the stack."""

    step: str = ""
    """The current step of the start or the stop."""
    done: list[str] = field(default_factory=list)
    """The finished steps with their durations."""
    ready: bool = False
    error: str = ""
    supervisor: int = 0
    port: int = 0
    admin_port: int = 0
    allowed_origins: list[str] = field(default_factory=list)
    services: dict[str, list[int]] = field(default_factory=dict)
    programs: dict[str, Running] = field(default_factory=dict)

    def save(self, layout: Layout) -> None:
        """Replaces the state file."""
        scratch = layout.state.with_suffix(".new")
        scratch.write_text(json.dumps(asdict(self)))
        scratch.replace(layout.state)


def load(layout: Layout) -> State | None:
    """Returns the last saved state, or None."""
    try:
        content: dict[str, Any] = json.loads(layout.state.read_text())
    except (FileNotFoundError, ValueError):
        return None
    programs = {name: Running(**program) for name, program in content.pop("programs").items()}
    return State(**content, programs=programs)


def is_running(layout: Layout) -> bool:
    """Returns whether a supervisor runs, which holds the lock."""
    if not layout.lock.exists():
        return False
    with layout.lock.open() as file:
        try:
            # A shared lock, so that two concurrent checks do not mistake each other for a supervisor.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextlib.contextmanager
def try_lock(layout: Layout) -> Iterator[bool]:
    """Holds the lock for the body. Yields False if another process holds it."""
    with _open(layout.lock) as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


@contextlib.contextmanager
def _open(path: Path) -> Iterator[int]:
    # O_CLOEXEC, because a program that outlives the supervisor must not hold its lock.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
