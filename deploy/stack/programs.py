"""The programs of the stack: what to run, as whom, and how to stop it."""

import pwd
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Program:
    """One process of the stack."""

    name: str
    command: tuple[str, ...]
    log: Path
    environment: Mapping[str, str] | None = field(default=None, repr=False)
    """The whole environment; None hands down our own."""
    directory: Path | None = None
    user: str | None = None
    """Who runs it; None is who runs the stack."""
    stop_signal: signal.Signals = signal.SIGTERM
    crash_signal: signal.Signals = signal.SIGKILL
    """Ends it at once, when nobody is left to wait for it."""

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of Popen and of its asynchronous twin, apart from the output."""
        return {
            "stdin": subprocess.DEVNULL,
            "env": self.environment,
            "cwd": self.directory,
            "user": self.user,
            "group": self.user and _group(self.user),
            "extra_groups": () if self.user else None,
            # A process group of its own: an interrupt at the terminal is the supervisor's alone.
            "start_new_session": True,
        }

    def start(self) -> "subprocess.Popen[bytes]":
        """Starts it as a child of this process, its output appended to its log."""
        with self.log.open("ab") as output:
            return subprocess.Popen(self.command, stdout=output, stderr=output, **self.arguments())


def _group(user: str) -> int:
    return pwd.getpwnam(user).pw_gid
