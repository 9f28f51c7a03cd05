"""Starts the programs in their order, keeps them running, and stops them in reverse.

A program that ends is started again, after a pause that doubles while it keeps ending. When
the supervisor itself is killed, its reaper ends everything.
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
from deploy.stack import orphans, readiness
from deploy.stack.errors import CliError
from deploy.stack.layout import SERVICES, Layout, choose_ports
from deploy.stack.orphans import Reaper
from deploy.stack.programs import Program
from deploy.stack.stack import Stack
from deploy.stack.state import ANOTHER_RUNS, STOPS_WITHIN, Running, State, held, load

_log = logging.getLogger(__name__)

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_STEADY_AFTER = 30.0
"""Seconds of running after which the next end counts as the first."""
_STARTS_WITHIN = 60.0


class Supervisor:
    """One running stack."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._state = State(supervisor=os.getpid())
        self._reaper = Reaper()
        self._programs: dict[str, Program] = {}
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._step_began = time.monotonic()

    async def run(self) -> int:
        """Runs the stack until SIGTERM or SIGINT; returns the exit status."""
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        self._layout.prepare()
        with held(self._layout) as alone:
            if not alone:
                return ANOTHER_RUNS
            before = load(self._layout)
            self._state.programs = before.programs if before else {}
            try:
                self._step("clearing up")
                await self._reaper.start()
                await self._start_unless(stop)
                await stop.wait()
                self._state.ready = False
                self._step("stopping")
            except (CliError, OSError) as problem:
                self._state.problem = str(problem)
            finally:
                await self._stop()
                await self._reaper.stop()
            if self._state.problem:
                self._state.save(self._layout)
                return 1
            self._layout.state.unlink(missing_ok=True)
        return 0

    async def _start_unless(self, stop: asyncio.Event) -> None:
        """Starts the stack, or gives up when it is told to stop meanwhile."""
        starting = asyncio.create_task(self._start())
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        starting.cancel()
        with suppress(asyncio.CancelledError):
            await starting

    async def _start(self) -> None:
        await asyncio.to_thread(orphans.clear, list(self._state.programs.values()))
        self._state.programs.clear()
        ports = choose_ports(self._layout)
        stack = Stack(self._layout, ports)
        self._state.port, self._state.admin_port = ports.gateway, ports.admin
        self._state.services = {name: list(pair) for name, pair in ports.services.items()}

        self._step("database")
        await asyncio.to_thread(stack.postgres.prepare)
        await self._launch(stack.postgres.program())
        await self._until("postgres", lambda: asyncio.to_thread(stack.postgres.answers))
        await asyncio.to_thread(stack.postgres.provision, stack.accesses)

        self._step("migrations")
        await asyncio.gather(*(self._migrate(stack, name) for name in stack.outdated()))

        self._step("services")
        stack.issue_certificates()
        for name in SERVICES:
            await self._launch(stack.service(name))
        await asyncio.to_thread(site.write, descriptors(), self._layout.docs)
        await asyncio.gather(*(self._until_serving(name, ops) for name, (_, ops) in ports.services.items()))

        self._step("gateway")
        await self._launch(stack.envoy())
        await self._until("gateway", lambda: readiness.gateway_serves(ports))

        self._keepers = [asyncio.create_task(self._keep(name)) for name in self._programs]
        self._state.ready = True
        self._step("ready")

    async def _stop(self) -> None:
        """The gateway first, so that nothing new arrives; the database last."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        groups = [["gateway"], [*SERVICES], ["postgres"]]
        for group in groups:
            await asyncio.gather(*(self._end(name) for name in group if name in self._processes))

    async def _migrate(self, stack: Stack, name: str) -> None:
        program = stack.migration(name)
        process = await self._spawn(program)
        status = await process.wait()
        self._reaper.forget(process.pid)
        if status:
            raise _ended(program)
        stack.mark_migrated(name)

    async def _until_serving(self, name: str, ops_port: int) -> None:
        await self._until(name, lambda: readiness.service_serves(ops_port))

    async def _until(self, name: str, check: Callable[[], Awaitable[bool]]) -> None:
        """Waits until a program is ready. Raises CliError when it ends, or takes too long."""
        program, process = self._programs[name], self._processes[name]
        if await readiness.wait_until(check, lambda: process.returncode is None, _STARTS_WITHIN):
            return
        if process.returncode is not None:
            raise _ended(program)
        raise CliError(f"{name} was not ready within {_STARTS_WITHIN:.0f} s: see {program.log}")

    async def _keep(self, name: str) -> None:
        """Starts a program again whenever it ends, and tries again when even that fails."""
        pause = _FIRST_PAUSE
        while True:
            began = time.monotonic()
            process = self._processes[name]
            await process.wait()
            self._reaper.forget(process.pid)
            if time.monotonic() - began > _STEADY_AFTER:
                pause = _FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            try:
                await self._launch(self._programs[name])
            except OSError as error:
                _log.warning("starting %s again: %s", name, error)

    async def _launch(self, program: Program) -> None:
        """Starts a program that is to run for as long as the stack does."""
        process = await self._spawn(program)
        self._programs[program.name] = program
        self._processes[program.name] = process
        before = self._state.programs.get(program.name)
        restarts = before.restarts + 1 if before else 0
        self._state.programs[program.name] = Running(program.name, process.pid, time.time(), restarts)
        self._state.save(self._layout)

    async def _spawn(self, program: Program) -> asyncio.subprocess.Process:
        with program.log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *program.command, stdout=output, stderr=output, **program.arguments()
            )
        self._reaper.note(process.pid, program.crash_signal)
        return process

    async def _end(self, name: str) -> None:
        process = self._processes[name]
        with suppress(ProcessLookupError):
            process.send_signal(self._programs[name].stop_signal)
        try:
            async with asyncio.timeout(STOPS_WITHIN):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        self._reaper.forget(process.pid)

    def _step(self, step: str) -> None:
        """Says what is done now, and how long the last step took."""
        now = time.monotonic()
        if self._state.step:
            self._state.done.append(f"{self._state.step} {now - self._step_began:.1f} s")
        self._state.step, self._step_began = step, now
        self._state.save(self._layout)


def _ended(program: Program) -> CliError:
    lines = program.log.read_text(errors="replace").strip().splitlines()
    last = lines[-1] if lines else "it said nothing"
    return CliError(f"{program.name} ended at its start: {last} (more in {program.log})")
