"""Starts and stops the stack from another process, and shows the progress."""

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
from deploy.stack.state import EXIT_ALREADY_RUNNING, STOP_TIMEOUT_SECONDS, State, is_running, load

_START_TIMEOUT_SECONDS = 180.0
_STOP_TIMEOUT_SECONDS = 3 * STOP_TIMEOUT_SECONDS + 10
"""The gateway, the services and the database stop one after the other."""
_POLL_INTERVAL_SECONDS = 0.05

# A supervisor outlives this process. Keeping its Popen object avoids the ResourceWarning of a deleted one.
_SUPERVISORS: defaultdict[Path, list["subprocess.Popen[bytes]"]] = defaultdict(list)


def up(layout: Layout, console: Console) -> tuple[State, bool]:
    """Starts the stack unless it runs. Returns its state, and whether this call started it.

    Raises CliError if the start fails. Then nothing is left running.
    """
    while True:
        supervisor = None if is_running(layout) else _launch(layout)
        if state := _watch(layout, supervisor, console):
            return state, supervisor is not None


def down(layout: Layout) -> bool:
    """Stops the stack and waits until it has stopped. Returns whether it was running.

    Raises CliError if it does not stop in time.
    """
    if not is_running(layout):
        return False
    supervisors = _SUPERVISORS.pop(layout.directory, ())
    state = load(layout)
    if state is not None and state.supervisor:
        os.kill(state.supervisor, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_TIMEOUT_SECONDS
    while is_running(layout) and not _is_replaced(layout, state):
        if time.monotonic() > deadline:
            raise CliError(f"the stack did not stop within {_STOP_TIMEOUT_SECONDS:.0f} s")
        time.sleep(_POLL_INTERVAL_SECONDS)
    for supervisor in supervisors:
        supervisor.wait()
    return True


def _is_replaced(layout: Layout, before: State | None) -> bool:
    """Returns whether another command has started a new supervisor in the meantime."""
    now = load(layout)
    return before is not None and now is not None and now.supervisor not in {0, before.supervisor}


def _watch(layout: Layout, supervisor: "subprocess.Popen[bytes] | None", console: Console) -> State | None:
    """Shows the progress of a supervisor until the stack is ready, and returns its state.

    `supervisor` is the one that this process started; None means that another one was running. Returns
    None if the caller must try again, because another supervisor was faster or the other one has ended.
    Raises CliError if the start fails or takes too long.
    """
    deadline = time.monotonic() + _START_TIMEOUT_SECONDS
    shown_count = 0
    with console.status("starting") as status:
        while time.monotonic() < deadline:
            # Checked before the state is read, so that the state of an ended supervisor is its final one.
            ended = supervisor.poll() is not None if supervisor else not is_running(layout)
            state = load(layout)
            if state is not None and (supervisor is None or state.supervisor == supervisor.pid):
                # The steps of a stack that was already running are not shown.
                steps = state.done[shown_count:] if supervisor or shown_count or not state.ready else ()
                for line in steps:
                    console.print(f"  [green]✓[/] {line}")
                shown_count = len(state.done)
                status.update(state.step)
                if state.error:
                    raise CliError(state.error)
                if state.ready and not ended:
                    return state
            if ended:
                if supervisor is None or supervisor.returncode == EXIT_ALREADY_RUNNING:
                    return None
                raise CliError(f"the supervisor has ended: see {layout.log('supervisor')}")
            time.sleep(_POLL_INTERVAL_SECONDS)
    raise CliError(
        f"the stack was not ready within {_START_TIMEOUT_SECONDS:.0f} s: see {layout.directory / 'logs'}"
    )


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
                *(f"--allowed-origin={origin}" for origin in layout.allowed_origins),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=ROOT,
            start_new_session=True,
        )
    _SUPERVISORS[layout.directory].append(supervisor)
    return supervisor
