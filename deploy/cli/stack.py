"""`meno up`, `down`, `status`, `logs`, `demo` and `clean`: the stack on this machine."""

import shutil
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli import asking, screen
from deploy.cli.options import DEFAULT_PORT, DIRECTORY, Directory, Json, Port, Yes
from deploy.cli.screen import console
from deploy.stack.errors import CliError, Interrupted
from deploy.stack.layout import SERVICES, Layout
from deploy.stack.state import Running, State, is_running, load

if TYPE_CHECKING:
    from rich.console import Console


_LOGGED = ("supervisor", "postgres", *SERVICES, "gateway", "access")
"""What has a log."""


def up(context: typer.Context, port: Port = DEFAULT_PORT, directory: Directory = DIRECTORY) -> None:
    """Start the stack and keep it running in the background.

    Example: [bold]meno up --port 8090[/]
    """
    layout = Layout(directory, port)
    before = load(layout) if is_running(layout) else None
    source = context.get_parameter_source("port")
    if before and before.port not in (0, port) and source and source.name != "DEFAULT":
        raise CliError(
            f"Meno is up at http://localhost:{before.port}: `meno down`, then `meno up --port {port}`"
        )
    state, started = _up(layout, console)
    console.print(f"Meno {'is up' if started else 'was up already'}: [bold]http://localhost:{state.port}[/]")
    console.print(f"  browse the API   http://localhost:{state.port}/docs")
    for what, commands in (
        ("look at it", ("status", "logs", "doctor")),
        ("come in", ("user create-admin", "sign-in NAME")),
        ("stop it", ("down",)),
    ):
        shown = " · ".join(f"{screen.program()} {command}" for command in commands)
        console.print(f"  {what:<16} {shown}", soft_wrap=True)


def down(directory: Directory = DIRECTORY) -> None:
    """Stop the stack; its data stay.

    Example: [bold]meno down[/]
    """
    from deploy.stack import control

    stopped = control.down(Layout(directory))
    console.print("Meno is down; its data are kept." if stopped else "Meno was not running.")
    screen.after("meno up")


def status(directory: Directory = DIRECTORY, *, json: Json = False) -> None:
    """Show what runs; exits with 3 where nothing does.

    Example: [bold]meno status[/]
    """
    layout = Layout(directory)
    state = load(layout) if is_running(layout) else None
    if json:
        screen.as_json(_told(state))
    elif state is None:
        screen.say("Meno is not running.")
        screen.after("meno up", "starts it")
    else:
        _shown(state)
    if state is None:
        raise typer.Exit(3)


def _program(name: str) -> str:
    if name and name not in _LOGGED:
        raise typer.BadParameter(f"there is no {name}; there are {', '.join(_LOGGED)}")
    return name


def logs(
    program: Annotated[
        str,
        typer.Argument(help="one program alone, such as chat_service", show_default=False, callback=_program),
    ] = "",
    *,
    follow: Annotated[bool, typer.Option(help="go on until interrupted")] = True,
    directory: Directory = DIRECTORY,
) -> None:
    """Show what the programs say.

    Example: [bold]meno logs chat_service --no-follow[/]
    """
    from deploy.stack import tail

    tail.show(Layout(directory), program, console, follow=follow)


def demo(*, yes: Yes = False, port: Port = DEFAULT_PORT, directory: Directory = DIRECTORY) -> None:
    """Play one lesson through every service and the gateway.

    It leaves a class with its material, a teacher and two students, a study
    session and a chat. Where the stack runs already it asks first, and lets
    it run on; otherwise it starts the stack, and stops it at the end.

    Example: [bold]meno demo[/]
    """
    import asyncio

    from rich.console import Console

    from deploy.demo.play import play
    from deploy.stack import control

    layout = Layout(directory, port)
    if is_running(layout):
        asking.confirm(
            f"Play it in the stack that runs in {directory}? A class and three people stay there.", yes=yes
        )
    console = Console(highlight=False)
    console.rule("[bold]Meno: one learner, one lesson[/]", align="left")
    state, started = _up(layout, console)
    try:
        passed = asyncio.run(play(state, console))
    finally:
        if started:
            control.down(layout)
    if not passed:
        raise typer.Exit(1)
    if started:
        screen.after("meno up", "keeps a stack running · README.md has the first calls")
    else:
        screen.after("meno class list", "shows the class that stays · README.md has the first calls")


def clean(*, yes: Yes = False, directory: Directory = DIRECTORY) -> None:
    """Stop the stack and delete its data, after asking.

    Example: [bold]meno clean[/]
    """
    from deploy.stack import control
    from deploy.stack.postgres import Postgres

    layout, postgres = Layout(directory), Postgres(directory)
    if not directory.exists() and not postgres.data.exists():
        console.print("There was nothing to delete.")
        return
    asking.confirm(f"Delete all data in {directory}, and stop what runs there?", yes=yes)
    control.down(layout)
    postgres.remove()
    shutil.rmtree(directory, ignore_errors=True)
    console.print("Meno's local data are gone.")


def _up(layout: Layout, console: "Console") -> tuple[State, bool]:
    """Brings the stack up; says what becomes of it where that is interrupted."""
    from deploy.stack import control

    try:
        return control.up(layout, console)
    except KeyboardInterrupt:
        raise Interrupted("It goes on starting: `meno status` tells, `meno down` stops it.") from None


def _shown(state: State) -> None:
    table = screen.table("program", "pid", "up for", "memory", "restarts")
    for program in state.programs.values():
        seconds = time.time() - program.started_at
        memory = _memory(program)
        shown = f"{memory / 2**20:.0f} MiB" if memory else "ended"
        table.add_row(program.name, str(program.pid), _lasting(seconds), shown, str(program.restarts))
    screen.show(table)
    if state.ready:
        gateway = f"gateway http://localhost:{state.port} · admin http://127.0.0.1:{state.admin_port}"
        screen.say("{}", gateway)
    else:
        screen.say("Not ready yet: {}.", state.step)
    screen.after("meno doctor", "examines it")


def _told(state: State | None) -> dict[str, Any]:
    if state is None:
        return {"running": False}
    programs = [{**asdict(one), "memory_bytes": _memory(one)} for one in state.programs.values()]
    url = f"http://localhost:{state.port}"
    return {"running": True, "ready": state.ready, "url": url, "programs": programs}


def _memory(program: Running) -> int:
    """Bytes of a program in memory; 0 of one that has ended."""
    import psutil

    try:
        return int(psutil.Process(program.pid).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _lasting(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
