"""`meno up`, `down`, `status`, `logs`, `demo` and `clean`: the stack on this machine."""

import re
import shutil
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli import output, prompts
from deploy.cli.options import DEFAULT_PORT, DIRECTORY, Directory, Json, Port, Yes
from deploy.cli.output import console
from deploy.stack.errors import CliError, Interrupted
from deploy.stack.layout import SERVICES, Layout
from deploy.stack.state import Running, State, is_running, load

if TYPE_CHECKING:
    from rich.console import Console


_LOG_NAMES = ("supervisor", "postgres", *SERVICES, "gateway", "access")
"""The programs that have a log."""
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5}|:\*)?")


def _check_origins(values: list[str]) -> list[str]:
    for value in values:
        if not _ORIGIN.fullmatch(value):
            raise typer.BadParameter(
                f"must have the form https://host or https://host:port, without a path, not {value}"
            )
    return values


def up(
    context: typer.Context,
    port: Port = DEFAULT_PORT,
    directory: Directory = DIRECTORY,
    allowed_origin: Annotated[
        list[str],
        typer.Option(
            help="a browser origin that may call the gateway, such as https://learn.example.org; "
            "repeat it for several; every port of localhost is allowed anyway",
            show_default=False,
            callback=_check_origins,
        ),
    ] = [],  # noqa: B006  # typer copies it
) -> None:
    """Start the stack and keep it running in the background.

    Example: [bold]meno up --port 8090[/]
    """
    layout = Layout(directory, port, tuple(allowed_origin))
    before = load(layout) if is_running(layout) else None
    source = context.get_parameter_source("port")
    if before and before.port not in (0, port) and source and source.name != "DEFAULT":
        raise CliError(
            f"Meno already runs at http://localhost:{before.port}: run `meno down`, then `meno up --port {port}`"
        )
    if before and allowed_origin and set(allowed_origin) != set(before.allowed_origins):
        raise CliError(
            "Meno already runs with other allowed origins: run `meno down`, then `meno up` with them"
        )
    state, started = _up(layout, console)
    console.print(
        f"Meno {'is running' if started else 'was already running'}: [bold]http://localhost:{state.port}[/]"
    )
    console.print(f"  browse the API   http://localhost:{state.port}/docs")
    for label, commands in (
        ("inspect it", ("status", "logs", "doctor")),
        ("sign in", ("user create-admin", "sign-in NAME")),
        ("stop it", ("down",)),
    ):
        text = " · ".join(output.qualify(f"meno {command}") for command in commands)
        console.print(f"  {label:<16} {text}", soft_wrap=True, markup=False)


def down(directory: Directory = DIRECTORY) -> None:
    """Stop the stack. Its data are kept.

    Example: [bold]meno down[/]
    """
    from deploy.stack import control

    stopped = control.down(Layout(directory))
    console.print("Meno is stopped. Its data are kept." if stopped else "Meno was not running.")
    output.print_next_step("meno up")


def status(directory: Directory = DIRECTORY, *, json: Json = False) -> None:
    """Show the running programs. The exit status is 3 if the stack is not running.

    Example: [bold]meno status[/]
    """
    layout = Layout(directory)
    state = load(layout) if is_running(layout) else None
    if json:
        output.print_json(_status_dict(state))
    elif state is None:
        output.print_text("Meno is not running.")
        output.print_next_step("meno up", "starts the stack")
    else:
        _print_status(state)
    if state is None:
        raise typer.Exit(3)


def _check_program(name: str) -> str:
    if name and name not in _LOG_NAMES:
        raise typer.BadParameter(f"must be one of {', '.join(_LOG_NAMES)}")
    return name


def logs(
    program: Annotated[
        str,
        typer.Argument(
            help="only the log of this program, such as chat_service",
            show_default=False,
            callback=_check_program,
        ),
    ] = "",
    *,
    follow: Annotated[
        bool | None,
        typer.Option(
            "--follow/--no-follow",
            help="print new lines until interrupted; default: as long as the stack runs",
            show_default=False,
        ),
    ] = None,
    directory: Directory = DIRECTORY,
) -> None:
    """Show the logs of the programs.

    Example: [bold]meno logs chat_service --no-follow[/]
    """
    from deploy.stack import tail

    layout = Layout(directory)
    tail.show(layout, program, console, lambda: is_running(layout) if follow is None else follow)


def demo(*, yes: Yes = False, port: Port = DEFAULT_PORT, directory: Directory = DIRECTORY) -> None:
    """Run one lesson through the gateway and every service.

    The demo creates a class with material, a teacher and two students, a
    study session and a chat. If the stack is already running, the demo asks
    first and leaves it running. Otherwise it starts the stack, and stops it
    at the end.

    Example: [bold]meno demo[/]
    """
    import asyncio

    from rich.console import Console

    from deploy.demo.run import run
    from deploy.stack import control

    layout = Layout(directory, port)
    if is_running(layout):
        prompts.confirm(
            f"Run the demo in the stack in {directory}? It leaves a class and three users there.", yes=yes
        )
    console = Console(highlight=False)
    console.rule("[bold]Meno demo: one lesson[/]", align="left")
    state, started = _up(layout, console)
    try:
        passed = asyncio.run(run(state, console))
    finally:
        if started:
            control.down(layout)
    if not passed:
        raise typer.Exit(1)
    if started:
        output.print_next_step(
            "meno up", "starts a stack that keeps running · see README.md for the first calls"
        )
    else:
        output.print_next_step(
            "meno class list", "lists the class of the demo · see README.md for the first calls"
        )


def clean(*, yes: Yes = False, directory: Directory = DIRECTORY) -> None:
    """Stop the stack and delete its data, after a confirmation.

    Example: [bold]meno clean[/]
    """
    from deploy.stack import control
    from deploy.stack.postgres import Postgres

    layout, postgres = Layout(directory), Postgres(directory)
    if not directory.exists() and not postgres.data.exists():
        console.print("There is nothing to delete.")
        return
    prompts.confirm(f"Stop the stack in {directory} and delete all its data?", yes=yes)
    control.down(layout)
    postgres.remove()
    shutil.rmtree(directory, ignore_errors=True)
    console.print("All local data of Meno are deleted.")


def _up(layout: Layout, console: "Console") -> tuple[State, bool]:
    """Starts the stack, or finds it running. Raises CliError, or Interrupted on Ctrl-C."""
    from deploy.stack import control

    try:
        return control.up(layout, console)
    except KeyboardInterrupt:
        raise Interrupted(
            "interrupted while the stack is still starting: see `meno status`, or stop it with `meno down`"
        ) from None


def _print_status(state: State) -> None:
    table = output.table("program", "pid", "uptime", "memory", "restarts")
    for program in state.programs.values():
        seconds = time.time() - program.started_at
        memory = _memory_bytes(program)
        size = f"{memory / 2**20:.0f} MiB" if memory else "ended"
        table.add_row(program.name, str(program.pid), _format_duration(seconds), size, str(program.restarts))
    output.print_table(table)
    if state.ready:
        gateway = f"gateway http://localhost:{state.port} · admin http://127.0.0.1:{state.admin_port}"
        output.print_text("{}", gateway)
    else:
        output.print_text("Not ready yet: {}.", state.step)
    output.print_next_step("meno doctor", "checks the stack")


def _status_dict(state: State | None) -> dict[str, Any]:
    if state is None:
        return {"running": False}
    programs = [{**asdict(one), "memory_bytes": _memory_bytes(one)} for one in state.programs.values()]
    url = f"http://localhost:{state.port}"
    return {"running": True, "ready": state.ready, "url": url, "programs": programs}


def _memory_bytes(program: Running) -> int:
    """Returns the resident memory of a program; 0 if it has ended."""
    import psutil

    try:
        return int(psutil.Process(program.pid).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _format_duration(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
