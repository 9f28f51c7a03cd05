"""Starting and stopping the stack from another process, with progress to look at."""

import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

from rich.console import Console

from deploy.stack.errors import CliError
from deploy.stack.layout import ROOT, Layout
from deploy.stack.state import ANOTHER_RUNS, STOPS_WITHIN, State, is_running, load

_STARTS_WITHIN = 180.0
_STOPS_WITHIN = 3 * STOPS_WITHIN + 10
"""The gateway, the services and the database stop one after the other."""
_LOOK_EVERY = 0.05

# It outlives whoever starts it, which Popen takes for an oversight once the object is gone.
_DETACHED: defaultdict[Path, list["subprocess.Popen[bytes]"]] = defaultdict(list)


def up(layout: Layout, console: Console) -> tuple[State, bool]:
    """Brings the stack up; returns its state, and whether this call started it.

    Raises CliError, with nothing left running.
    """
    while True:
        supervisor = None if is_running(layout) else _launch(layout)
        if state := _watch(layout, supervisor, console):
            return state, supervisor is not None


def down(layout: Layout) -> bool:
    """Stops the stack and waits until nothing of it runs; returns whether it ran. Raises CliError."""
    if not is_running(layout):
        return False
    ours = _DETACHED.pop(layout.directory, ())
    state = load(layout)
    if state is not None and state.supervisor:
        os.kill(state.supervisor, signal.SIGTERM)
    deadline = time.monotonic() + _STOPS_WITHIN
    while is_running(layout):
        if time.monotonic() > deadline:
            raise CliError(f"the stack did not stop within {_STOPS_WITHIN:.0f} s")
        time.sleep(_LOOK_EVERY)
    for supervisor in ours:
        supervisor.wait()
    return True


def _watch(layout: Layout, supervisor: "subprocess.Popen[bytes] | None", console: Console) -> State | None:
    """Shows what our supervisor does, or the one that runs already, until the stack is ready.

    Returns None where it is time to look again: another got ahead of ours, or the other has ended.
    Raises CliError.
    """
    deadline = time.monotonic() + _STARTS_WITHIN
    shown = 0
    with console.status("starting") as status:
        while time.monotonic() < deadline:
            # Asked first, so that the state of one that has ended is its last word.
            ended = supervisor.poll() is not None if supervisor else not is_running(layout)
            state = load(layout)
            if state is not None and (supervisor is None or state.supervisor == supervisor.pid):
                # Of a stack that was up before nobody waited for the steps.
                told = state.done[shown:] if supervisor or shown or not state.ready else ()
                for line in told:
                    console.print(f"  [green]✓[/] {line}")
                shown = len(state.done)
                status.update(state.step)
                if state.problem:
                    raise CliError(state.problem)
                if state.ready and not ended:
                    return state
            if ended:
                if supervisor is None or supervisor.returncode == ANOTHER_RUNS:
                    return None
                raise CliError(f"the supervisor ended: see {layout.log('supervisor')}")
            time.sleep(_LOOK_EVERY)
    raise CliError(f"the stack was not ready within {_STARTS_WITHIN:.0f} s: see {layout.directory / 'logs'}")


def _launch(layout: Layout) -> "subprocess.Popen[bytes]":
    layout.prepare()
    with layout.log("supervisor").open("ab") as output:
        supervisor = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "deploy.stack",
                "--port",
                str(layout.port),
                "--directory",
                str(layout.directory),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=ROOT,
            start_new_session=True,
        )
    _DETACHED[layout.directory].append(supervisor)
    return supervisor
