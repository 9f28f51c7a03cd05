"""The database without the stack, for what is done to the data while nobody serves them."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator

from deploy.stack import orphans
from deploy.stack.errors import CliError
from deploy.stack.layout import ROOT, Layout
from deploy.stack.postgres import Postgres
from deploy.stack.programs import Program
from deploy.stack.state import held, is_running, load


@contextlib.contextmanager
def open_database(layout: Layout) -> Iterator[Postgres]:
    """The database of the running stack, or the database alone where the stack is down. Raises CliError."""
    if is_running(layout):
        yield Postgres(layout.directory)
        return
    with standalone_database(layout) as postgres:
        yield postgres


@contextlib.contextmanager
def standalone_database(layout: Layout) -> Iterator[Postgres]:
    """Runs the database for the body, in which the stack cannot be started. Raises CliError."""
    layout.prepare()
    with held(layout) as ours:
        if not ours:
            raise CliError("Meno is running, or somebody else is at work on its data: `meno status`")
        before = load(layout)
        orphans.clear(before.programs.values() if before else ())
        postgres = Postgres(layout.directory)
        postgres.prepare()
        with _running(postgres):
            yield postgres


@contextlib.contextmanager
def _running(postgres: Postgres) -> Iterator[None]:
    """Runs the server, and ends it even where this process is killed."""
    program = postgres.program()
    with _reaper() as reaper:
        process = program.start()
        _note(reaper, process, program)
        try:
            postgres.wait(process)
            yield
        finally:
            process.send_signal(program.stop_signal)
            process.wait()


@contextlib.contextmanager
def _reaper() -> "Iterator[subprocess.Popen[str]]":
    command = [sys.executable, "-m", "deploy.stack.reaper"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True
    ) as reaper:
        yield reaper


def _note(reaper: "subprocess.Popen[str]", process: "subprocess.Popen[bytes]", program: Program) -> None:
    assert reaper.stdin is not None
    reaper.stdin.write(f"+{process.pid} {int(program.crash_signal)}\n")
    reaper.stdin.flush()
