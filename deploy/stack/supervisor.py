"""Starts the programs in order, keeps them running, and stops them in reverse order.

A program that ends is restarted with exponential backoff. If the supervisor itself is killed, its
reaper ends all programs.
"""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from deploy.gateway import site
from deploy.gateway.contracts import descriptors
from deploy.stack import orphans, readiness, rotation
from deploy.stack.errors import CliError
from deploy.stack.layout import SERVICES, Layout, choose_ports
from deploy.stack.orphans import Reaper
from deploy.stack.programs import Program
from deploy.stack.stack import Stack
from deploy.stack.state import EXIT_ALREADY_RUNNING, STOP_TIMEOUT_SECONDS, Running, State, load, try_lock

_log = logging.getLogger(__name__)

_MIN_BACKOFF_SECONDS = 0.1
_MAX_BACKOFF_SECONDS = 5.0
_STABLE_AFTER_SECONDS = 30.0
"""The backoff is reset after a program has run for this long."""
_START_TIMEOUT_SECONDS = 60.0


class Supervisor:
    """Runs one stack."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._state = State(supervisor=os.getpid(), allowed_origins=[*layout.allowed_origins])
        self._reaper = Reaper()
        self._programs: dict[str, Program] = {}
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._monitors: list[asyncio.Task[None]] = []
        self._step_began = time.monotonic()

    async def run(self) -> int:
        """Runs the stack until SIGTERM or SIGINT. Returns the exit status.

        Raises CliError if the directories of the stack cannot be created.
        """
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        self._layout.prepare()
        with try_lock(self._layout) as locked:
            if not locked:
                return EXIT_ALREADY_RUNNING
            previous = load(self._layout)
            self._state.programs = previous.programs if previous else {}
            try:
                self._begin_step("clean-up")
                await self._reaper.start()
                await self._start_unless(stop)
                await stop.wait()
                self._state.ready = False
                self._begin_step("stopping")
            except (CliError, OSError) as error:
                self._state.error = str(error)
            finally:
                await self._stop()
                await self._reaper.stop()
            if self._state.error:
                self._state.save(self._layout)
                return 1
            self._layout.state.unlink(missing_ok=True)
        return 0

    async def _start_unless(self, stop: asyncio.Event) -> None:
        """Starts the stack, or cancels the start if a signal arrives."""
        starting = asyncio.create_task(self._start())
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        starting.cancel()
        with suppress(asyncio.CancelledError):
            await starting

    async def _start(self) -> None:
        await asyncio.to_thread(orphans.kill_leftovers, list(self._state.programs.values()))
        self._state.programs.clear()
        ports = choose_ports(self._layout)
        stack = Stack(self._layout, ports)
        self._state.port, self._state.admin_port = ports.gateway, ports.admin
        self._state.services = {name: list(pair) for name, pair in ports.services.items()}

        self._monitors = [asyncio.create_task(rotation.run(self._layout.directory / "logs"))]
        self._begin_step("database")
        await asyncio.to_thread(stack.postgres.prepare)
        await self._launch(stack.postgres.program())
        await self._wait_until("postgres", lambda: asyncio.to_thread(stack.postgres.answers))
        await asyncio.to_thread(stack.postgres.provision, stack.accesses)

        self._begin_step("migrations")
        await asyncio.gather(*(self._migrate(stack, name) for name in stack.unmigrated()))

        self._begin_step("services")
        stack.issue_certificates()
        # The other services would log failed calls until identity_service serves.
        first, *others = SERVICES
        await self._launch(stack.service(first))
        await asyncio.to_thread(site.write, descriptors(), self._layout.docs)
        await self._wait_until_serving(first, ports.services[first][1])
        for name in others:
            await self._launch(stack.service(name))
        await asyncio.gather(*(self._wait_until_serving(name, ports.services[name][1]) for name in others))

        self._begin_step("gateway")
        await self._launch(stack.envoy())
        await self._wait_until("gateway", lambda: readiness.gateway_serves(ports))

        self._monitors += [asyncio.create_task(self._restart_on_exit(name)) for name in self._programs]
        self._state.ready = True
        self._begin_step("ready")

    async def _stop(self) -> None:
        """Stops the gateway first, so that no new request arrives, and the database last."""
        for monitor in self._monitors:
            monitor.cancel()
        await asyncio.gather(*self._monitors, return_exceptions=True)
        groups = [["gateway"], [*SERVICES], ["postgres"]]
        for group in groups:
            await asyncio.gather(*(self._stop_program(name) for name in group if name in self._processes))

    async def _migrate(self, stack: Stack, name: str) -> None:
        program = stack.migration(name)
        process = await self._spawn(program)
        status = await process.wait()
        self._reaper.unregister(process.pid)
        if status:
            raise _exited_error(program)
        stack.mark_migrated(name)

    async def _wait_until_serving(self, name: str, ops_port: int) -> None:
        await self._wait_until(name, lambda: readiness.service_serves(ops_port))

    async def _wait_until(self, name: str, check: Callable[[], Awaitable[bool]]) -> None:
        """Waits until a program is ready. Raises CliError if it ends or takes too long."""
        program, process = self._programs[name], self._processes[name]
        if await readiness.wait_until(check, lambda: process.returncode is None, _START_TIMEOUT_SECONDS):
            return
        if process.returncode is not None:
            raise _exited_error(program)
        raise CliError(f"{name} was not ready within {_START_TIMEOUT_SECONDS:.0f} s: see {program.log}")

    async def _restart_on_exit(self, name: str) -> None:
        """Restarts a program whenever it ends. A failed restart is tried again."""
        backoff = _MIN_BACKOFF_SECONDS
        while True:
            began = time.monotonic()
            process = self._processes[name]
            await process.wait()
            self._reaper.unregister(process.pid)
            if time.monotonic() - began > _STABLE_AFTER_SECONDS:
                backoff = _MIN_BACKOFF_SECONDS
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, _MAX_BACKOFF_SECONDS)
            try:
                await self._launch(self._programs[name])
            except OSError as error:
                _log.warning("cannot restart %s: %s", name, error)

    async def _launch(self, program: Program) -> None:
        """Starts a program that runs as long as the stack, and records it in the state."""
        process = await self._spawn(program)
        self._programs[program.name] = program
        self._processes[program.name] = process
        previous = self._state.programs.get(program.name)
        restarts = previous.restarts + 1 if previous else 0
        self._state.programs[program.name] = Running(program.name, process.pid, time.time(), restarts)
        self._state.save(self._layout)

    async def _spawn(self, program: Program) -> asyncio.subprocess.Process:
        with program.log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *program.command, stdout=output, stderr=output, **program.arguments()
            )
        self._reaper.register(process.pid, program.crash_signal)
        return process

    async def _stop_program(self, name: str) -> None:
        process = self._processes[name]
        with suppress(ProcessLookupError):
            process.send_signal(self._programs[name].stop_signal)
        try:
            async with asyncio.timeout(STOP_TIMEOUT_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        self._reaper.unregister(process.pid)

    def _begin_step(self, step: str) -> None:
        """Records the step that begins now, and the duration of the previous one."""
        now = time.monotonic()
        if self._state.step:
            self._state.done.append(f"{self._state.step} {now - self._step_began:.1f} s")
        self._state.step, self._step_began = step, now
        self._state.save(self._layout)


def _exited_error(program: Program) -> CliError:
    lines = program.log.read_text(errors="replace").strip().splitlines()
    last = lines[-1] if lines else "no output"
    return CliError(f"{program.name} failed to start: {last} (see {program.log})")
