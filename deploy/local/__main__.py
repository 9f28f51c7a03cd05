"""`python -m deploy.local up | down | status | logs | demo | clean`: the stack on this machine."""

import asyncio
import shutil
import sys
import time
from pathlib import Path
from typing import Annotated

import psutil
import typer
from rich.console import Console
from rich.table import Table

from deploy.local import control, tail
from deploy.local.layout import DEFAULT_PORT, ROOT, Layout
from deploy.local.postgres import Postgres
from deploy.local.problems import Problem
from deploy.local.state import State, is_running, load
from deploy.local.supervisor import Supervisor

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="Meno on this machine: PostgreSQL, four services and the gateway.",
)
console = Console(highlight=False)

Port = Annotated[int, typer.Option(help="port of the gateway", envvar="PORT")]
Directory = Annotated[
    Path, typer.Option(help="where the stack keeps everything", envvar="MENO_LOCAL_DIRECTORY")
]

_DIRECTORY = ROOT / ".local"


@cli.command()
def up(port: Port = DEFAULT_PORT, directory: Directory = _DIRECTORY) -> None:
    """Start the stack and keep it running in the background."""
    state, started = control.up(Layout(directory, port), console)
    console.print(f"Meno {'is up' if started else 'was up already'}: [bold]http://localhost:{state.port}[/]")
    console.print(f"  browse the API   http://localhost:{state.port}/docs")
    console.print("  look at it       make status · make logs")
    console.print("  stop it          make down")


@cli.command()
def down(directory: Directory = _DIRECTORY) -> None:
    """Stop the stack; its data stay."""
    stopped = control.down(Layout(directory))
    console.print("Meno is down; its data are kept." if stopped else "Meno was not running.")


@cli.command()
def status(directory: Directory = _DIRECTORY) -> None:
    """Show what runs."""
    layout = Layout(directory)
    state = load(layout) if is_running(layout) else None
    if state is None:
        console.print("Meno is not running: [bold]make up[/] starts it.")
        raise typer.Exit(3)
    console.print(_programs(state))
    console.print(f"gateway http://localhost:{state.port} · admin http://127.0.0.1:{state.admin_port}")


@cli.command()
def logs(
    program: Annotated[str, typer.Argument(help="one program alone, such as chat_service")] = "",
    *,
    follow: Annotated[bool, typer.Option(help="go on until interrupted")] = True,
    directory: Directory = _DIRECTORY,
) -> None:
    """Show what the programs say."""
    tail.show(Layout(directory), program, console, follow=follow)


@cli.command()
def demo(port: Port = DEFAULT_PORT, directory: Directory = _DIRECTORY) -> None:
    """Play one lesson through every service and the gateway."""
    from deploy.local.demo.play import play

    layout = Layout(directory, port)
    console.rule("[bold]Meno: one learner, one lesson[/]", align="left")
    state, started = control.up(layout, console)
    try:
        passed = asyncio.run(play(state, console))
    finally:
        if started:
            control.down(layout)
    if not passed:
        raise typer.Exit(1)


@cli.command()
def clean(directory: Directory = _DIRECTORY) -> None:
    """Stop the stack and delete its data."""
    layout = Layout(directory)
    control.down(layout)
    Postgres(directory).remove()
    shutil.rmtree(directory, ignore_errors=True)
    console.print("Meno's local data are gone.")


@cli.command(hidden=True)
def supervise(port: Port = DEFAULT_PORT, directory: Directory = _DIRECTORY) -> None:
    """Run the stack in the foreground; `up` runs this in the background."""
    raise typer.Exit(asyncio.run(Supervisor(Layout(directory, port)).run()))


def _programs(state: State) -> Table:
    table = Table("program", "pid", "up for", "memory", "restarts", box=None, pad_edge=False)
    for program in state.programs.values():
        seconds = time.time() - program.started_at
        try:
            memory = f"{psutil.Process(program.pid).memory_info().rss / 2**20:.0f} MiB"
        except psutil.NoSuchProcess:
            memory = "ended"
        table.add_row(program.name, str(program.pid), f"{seconds:.0f} s", memory, str(program.restarts))
    return table


def main() -> None:
    """Runs the command line; a problem of the machine is one line and status 1."""
    try:
        cli()
    except Problem as problem:
        Console(stderr=True, highlight=False).print(f"[bold red]Meno:[/] {problem}", soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
