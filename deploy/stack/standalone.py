"""Runs the database without the rest of the stack, for work on the data."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator

from deploy.stack import orphans
from deploy.stack.errors import CliError
from deploy.stack.layout import ROOT, Layout
from deploy.stack.postgres import Postgres
from deploy.stack.programs import Program
from deploy.stack.state import is_running, load, try_lock


@contextlib.contextmanager
def open_database(layout: Layout) -> Iterator[Postgres]:
    """Yields the database: that of the running stack, or one that runs only for the body.

    Raises CliError if the database cannot be started.
    """
    if is_running(layout):
        yield Postgres(layout.directory)
        return
    with standalone_database(layout) as postgres:
        yield postgres


@contextlib.contextmanager
def standalone_database(layout: Layout) -> Iterator[Postgres]:
    """Runs the database for the body, during which the stack cannot be started.

    Raises CliError if the stack is running or if the database cannot be started.
    """
    layout.prepare()
    with try_lock(layout) as locked:
        if not locked:
            raise CliError("Meno is running, or another command is using its data: see `meno status`")
        previous = load(layout)
        orphans.kill_leftovers(previous.programs.values() if previous else ())
        postgres = Postgres(layout.directory)
        postgres.prepare()
        with _running(postgres):
            yield postgres


@contextlib.contextmanager
def _running(postgres: Postgres) -> Iterator[None]:
    """Runs the server for the body. The reaper ends it if this process is killed."""
    program = postgres.program()
    with _start_reaper() as reaper:
        process = program.start()
        _register(reaper, process, program)
        try:
            postgres.wait(process)
            yield
        finally:
            process.send_signal(program.stop_signal)
            process.wait()


@contextlib.contextmanager
def _start_reaper() -> "Iterator[subprocess.Popen[str]]":
    command = [sys.executable, "-m", "deploy.stack.reaper"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True
    ) as reaper:
        yield reaper


def _register(reaper: "subprocess.Popen[str]", process: "subprocess.Popen[bytes]", program: Program) -> None:
    assert reaper.stdin is not None
    reaper.stdin.write(f"+{process.pid} {int(program.crash_signal)}\n")
    reaper.stdin.flush()
