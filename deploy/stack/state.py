"""What the supervisor tells of itself, in a file that is replaced as a whole."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from deploy.stack.layout import Layout

ANOTHER_RUNS = 3
"""Exit status of a supervisor that found another at work."""
STOPS_WITHIN = 30.0
"""Seconds for a program to end: more than the 20 s of a service's drain and the 5 s for the answers that
are written after it."""


@dataclass
class Running:
    """One program."""

    name: str
    pid: int
    started_at: float
    """Seconds since the epoch."""
    restarts: int = 0


@dataclass
class State:
    """The whole stack."""

    step: str = ""
    """What is being done, for whoever waits."""
    done: list[str] = field(default_factory=list)
    """The steps before it, each with its seconds."""
    ready: bool = False
    problem: str = ""
    supervisor: int = 0
    port: int = 0
    admin_port: int = 0
    services: dict[str, list[int]] = field(default_factory=dict)
    programs: dict[str, Running] = field(default_factory=dict)

    def save(self, layout: Layout) -> None:
        """Replaces the file."""
        scratch = layout.state.with_suffix(".new")
        scratch.write_text(json.dumps(asdict(self)))
        scratch.replace(layout.state)


def load(layout: Layout) -> State | None:
    """The last state that was saved, or None."""
    try:
        content: dict[str, Any] = json.loads(layout.state.read_text())
    except (FileNotFoundError, ValueError):
        return None
    programs = {name: Running(**program) for name, program in content.pop("programs").items()}
    return State(**content, programs=programs)


def is_running(layout: Layout) -> bool:
    """Whether a supervisor lives: it alone holds the lock."""
    if not layout.lock.exists():
        return False
    with layout.lock.open() as file:
        try:
            # Shared: two that ask at once do not take each other for a supervisor.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextlib.contextmanager
def held(layout: Layout) -> Iterator[bool]:
    """Holds the lock for the body; yields False where another supervisor has it."""
    with _opened(layout.lock) as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    # Not inherited: a program that outlives the supervisor must not hold its lock.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
