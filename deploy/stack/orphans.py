"""What a supervisor that is killed would leave behind, and how it is ended."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterable

import psutil

from deploy.stack.layout import ROOT
from deploy.stack.state import Running

_log = logging.getLogger(__name__)

_PAUSE = 0.1
_GONE_WITHIN = 10.0
_SAME_PROCESS = 2.0
"""Seconds within which two notes of a process's start mean the same process."""


class Reaper:
    """A process that stands by: it ends the noted ones as soon as this process is gone."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._noted: dict[int, signal.Signals] = {}
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """Of the process that stands by; 0 before the start."""
        return self._process.pid if self._process is not None else 0

    async def start(self) -> None:
        """Has it stand by."""
        process = await self._spawn()
        self._keeper = asyncio.create_task(self._keep(process))

    async def stop(self) -> None:
        """Sends it away; call it when nothing runs any more."""
        if self._keeper is not None and self._process is not None:
            self._keeper.cancel()
            assert self._process.stdin is not None
            self._process.stdin.close()
            await self._process.wait()

    def note(self, pid: int, number: signal.Signals) -> None:
        """Has a process and its group ended, with this signal."""
        self._noted[pid] = number
        self._tell(f"+{pid} {int(number)}")

    def forget(self, pid: int) -> None:
        """The process has ended by itself."""
        self._noted.pop(pid, None)
        self._tell(f"-{pid}")

    async def _keep(self, process: asyncio.subprocess.Process) -> None:
        """Another takes its place when it is killed itself."""
        while True:
            await process.wait()
            try:
                process = await self._spawn()
            except OSError as error:
                _log.warning("starting the reaper again: %s", error)
                await asyncio.sleep(_PAUSE)

    async def _spawn(self) -> asyncio.subprocess.Process:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "deploy.stack.reaper",
            stdin=asyncio.subprocess.PIPE,
            cwd=ROOT,
            start_new_session=True,
        )
        for pid, number in self._noted.items():
            self._tell(f"+{pid} {int(number)}")
        return self._process

    def _tell(self, line: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(ConnectionError):
                self._process.stdin.write(f"{line}\n".encode())


def clear(noted: Iterable[Running]) -> None:
    """Ends what an earlier supervisor left running although its reaper was killed too."""
    left = [process for running in noted if (process := _process(running))]
    for process in left:
        number = signal.SIGQUIT if "postgres" in process.name() else signal.SIGKILL
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
    psutil.wait_procs(left, timeout=_GONE_WITHIN)


def _process(running: Running) -> psutil.Process | None:
    """The process that was noted, unless its number is somebody else's by now."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(running.pid)
        if abs(process.create_time() - running.started_at) < _SAME_PROCESS:
            return process
    return None
