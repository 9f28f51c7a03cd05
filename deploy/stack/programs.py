"""A program of the stack: its command, user, environment and signals."""

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
    """The whole environment. None means that of this process."""
    directory: Path | None = None
    user: str | None = None
    """The user that runs the program. None means the user of this process."""
    stop_signal: signal.Signals = signal.SIGTERM
    crash_signal: signal.Signals = signal.SIGKILL
    """The signal that ends the program if the supervisor was killed."""

    def arguments(self) -> dict[str, Any]:
        """Returns the keyword arguments of Popen and of create_subprocess_exec, without the output."""
        return {
            "stdin": subprocess.DEVNULL,
            "env": self.environment,
            "cwd": self.directory,
            "user": self.user,
            "group": self.user and _group(self.user),
            "extra_groups": () if self.user else None,
            # A separate session, so that an interrupt at the terminal reaches only the supervisor.
            "start_new_session": True,
        }

    def start(self) -> "subprocess.Popen[bytes]":
        """Starts the program as a child of this process. Its output is appended to its log."""
        with self.log.open("ab") as output:
            return subprocess.Popen(self.command, stdout=output, stderr=output, **self.arguments())


def _group(user: str) -> int:
    return pwd.getpwnam(user).pw_gid
