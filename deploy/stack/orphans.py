"""Ends the programs of a supervisor that was killed."""

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

_RETRY_DELAY_SECONDS = 0.1
_KILL_TIMEOUT_SECONDS = 10.0
_START_TOLERANCE_SECONDS = 2.0
"""A process with the recorded pid is the recorded one if the start times differ by less than this."""


class Reaper:
    """A separate process that ends all registered processes as soon as this process is gone."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._registered: dict[int, signal.Signals] = {}
        self._monitor: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """Pid of the reaper process; 0 before the start."""
        return self._process.pid if self._process is not None else 0

    async def start(self) -> None:
        """Starts the reaper process."""
        process = await self._spawn()
        self._monitor = asyncio.create_task(self._restart_on_exit(process))

    async def stop(self) -> None:
        """Stops the reaper process. Call this after all registered processes have ended."""
        if self._monitor is not None and self._process is not None:
            self._monitor.cancel()
            assert self._process.stdin is not None
            self._process.stdin.close()
            await self._process.wait()

    def register(self, pid: int, number: signal.Signals) -> None:
        """Registers a process, whose group the reaper ends with the given signal."""
        self._registered[pid] = number
        self._send(f"+{pid} {int(number)}")

    def unregister(self, pid: int) -> None:
        """Removes a process that has ended."""
        self._registered.pop(pid, None)
        self._send(f"-{pid}")

    async def _restart_on_exit(self, process: asyncio.subprocess.Process) -> None:
        """Starts the reaper process again whenever it ends."""
        while True:
            await process.wait()
            try:
                process = await self._spawn()
            except OSError as error:
                _log.warning("cannot restart the reaper: %s", error)
                await asyncio.sleep(_RETRY_DELAY_SECONDS)

    async def _spawn(self) -> asyncio.subprocess.Process:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "deploy.stack.reaper",
            stdin=asyncio.subprocess.PIPE,
            cwd=ROOT,
            start_new_session=True,
        )
        for pid, number in self._registered.items():
            self._send(f"+{pid} {int(number)}")
        return self._process

    def _send(self, line: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(ConnectionError):
                self._process.stdin.write(f"{line}\n".encode())


def kill_leftovers(recorded: Iterable[Running]) -> None:
    """Kills programs of an earlier supervisor that still run because its reaper was killed too."""
    leftovers = [process for running in recorded if (process := _find_process(running))]
    for process in leftovers:
        number = signal.SIGQUIT if "postgres" in process.name() else signal.SIGKILL
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
    psutil.wait_procs(leftovers, timeout=_KILL_TIMEOUT_SECONDS)


def _find_process(running: Running) -> psutil.Process | None:
    """Returns the recorded process, or None if it has ended or another process has its pid."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(running.pid)
        if abs(process.create_time() - running.started_at) < _START_TOLERANCE_SECONDS:
            return process
    return None
