"""The command line itself: which commands there are, in groups, and how it ends."""

import io
import os
import signal
import sys
from typing import Annotated

import typer
from typer.core import TyperGroup

from deploy.cli import access, operation, screen, stack
from deploy.cli.audit import audit
from deploy.cli.classes import classes
from deploy.cli.configuration import config, models
from deploy.cli.people import people, whoami
from deploy.stack.errors import CliError, Interrupted

# They add their commands to the groups.
from deploy.cli import person_data, roster  # noqa: F401  # isort: skip


class Commands(TyperGroup):
    """All commands, as they are thought of: start it, let people in, run it. A problem is one red line."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        return sorted(self.commands, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        try:
            return super().invoke(ctx)
        except CliError as problem:
            screen.problem(problem)
            raise typer.Exit(130 if isinstance(problem, Interrupted) else 1) from problem


_ORDER = (
    *("up", "down", "status", "logs", "demo", "clean"),
    *("user", "class", "sign-in", "sign-out", "whoami", "token"),
    *("audit", "config", "models", "backup", "restore", "doctor"),
)

cli = typer.Typer(
    name="meno",
    cls=Commands,
    invoke_without_command=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_STACK, _PEOPLE, _CLASSES = "Stack", "People", "Classes"
_ACCESS, _OPERATION = "Access", "Operation"

cli.command(rich_help_panel=_STACK)(stack.up)
cli.command(rich_help_panel=_STACK)(stack.down)
cli.command(rich_help_panel=_STACK)(stack.status)
cli.command(rich_help_panel=_STACK)(stack.logs)
cli.command(rich_help_panel=_STACK)(stack.demo)
cli.command(rich_help_panel=_STACK)(stack.clean)
cli.add_typer(people, name="user", help="People: list, make, shut out, erase them.", rich_help_panel=_PEOPLE)
cli.add_typer(classes, name="class", help="Classes, their members, and rosters.", rich_help_panel=_CLASSES)
cli.command("sign-in", rich_help_panel=_ACCESS)(access.sign_in)
cli.command("sign-out", rich_help_panel=_ACCESS)(access.sign_out)
cli.command("whoami", rich_help_panel=_ACCESS)(whoami)
cli.command("token", rich_help_panel=_ACCESS)(access.token)
cli.add_typer(audit, name="audit", help="Who did what to whom.", rich_help_panel=_OPERATION)
cli.add_typer(
    config, name="config", help="What holds for the whole installation.", rich_help_panel=_OPERATION
)
cli.add_typer(models, name="models", help="Language models, and where they are.", rich_help_panel=_OPERATION)
cli.command(rich_help_panel=_OPERATION)(operation.backup)
cli.command(rich_help_panel=_OPERATION)(operation.restore)
cli.command(rich_help_panel=_OPERATION)(operation.doctor)


@cli.callback()
def _root(
    context: typer.Context,
    *,
    version: Annotated[bool, typer.Option("--version", help="print the version")] = False,
) -> None:
    """Meno: a tutoring backend on this machine, or one elsewhere, from the command line.

    [bold]meno up[/] starts everything here; [bold]meno user create-admin[/] and [bold]meno sign-in[/] let you in.
    """
    screen.where.clear()
    if version:
        from importlib.metadata import version as version_of

        print(f"meno {version_of('meno-cli')}")  # noqa: T201
    elif context.invoked_subcommand is None:
        print(context.get_help())  # noqa: T201


def main() -> None:
    """Runs the command line; a problem is one red line and status 1, a wrong use status 2."""
    # What gRPC has to say of a connection stands in the error as well.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    for stream in (sys.stdout, sys.stderr):
        # A terminal that knows few characters is shown the rest as question marks.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    for number in (signal.SIGTERM, signal.SIGHUP):
        # What was begun is taken back, as after an interrupt.
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        cli(prog_name="meno")
    except BrokenPipeError:
        # Whoever read it has seen enough; nothing is left to be flushed at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if os.environ.get("MENO_DEBUG"):
            raise
        screen.problem(f"{type(error).__name__}: {error} (MENO_DEBUG=1 tells more)")
    else:
        return
    sys.exit(1)
