"""The command line `meno`: its commands in groups, and its exit status."""

import io
import os
import signal
import sys
from typing import Annotated

import typer
from typer.core import TyperGroup

from deploy.cli import access, operation, output, stack
from deploy.cli.audit import audit
from deploy.cli.classes import classes
from deploy.cli.configuration import config, models
from deploy.cli.users import users, whoami
from deploy.stack.errors import CliError, Interrupted

# Imported because they add their commands to the groups.
from deploy.cli import class_members, roster, user_data  # noqa: F401  # isort: skip


class Commands(TyperGroup):
    """The root group: lists its commands in the order of use, and prints a CliError as one red line."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        return sorted(self.commands, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        try:
            return super().invoke(ctx)
        except CliError as error:
            output.print_error(error)
            raise typer.Exit(130 if isinstance(error, Interrupted) else 1) from error


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

_STACK, _USERS, _CLASSES = "Stack", "Users", "Classes"
_ACCESS, _OPERATION = "Access", "Operation"

cli.command(rich_help_panel=_STACK)(stack.up)
cli.command(rich_help_panel=_STACK)(stack.down)
cli.command(rich_help_panel=_STACK)(stack.status)
cli.command(rich_help_panel=_STACK)(stack.logs)
cli.command(rich_help_panel=_STACK)(stack.demo)
cli.command(rich_help_panel=_STACK)(stack.clean)
cli.add_typer(users, name="user", help="List, create, deactivate and erase users.", rich_help_panel=_USERS)
cli.add_typer(classes, name="class", help="Manage classes, members and rosters.", rich_help_panel=_CLASSES)
cli.command("sign-in", rich_help_panel=_ACCESS)(access.sign_in)
cli.command("sign-out", rich_help_panel=_ACCESS)(access.sign_out)
cli.command("whoami", rich_help_panel=_ACCESS)(whoami)
cli.command("token", rich_help_panel=_ACCESS)(access.token)
cli.add_typer(audit, name="audit", help="List and verify the audit entries.", rich_help_panel=_OPERATION)
cli.add_typer(config, name="config", help="Show and change the configuration.", rich_help_panel=_OPERATION)
cli.add_typer(models, name="models", help="Show and test the language models.", rich_help_panel=_OPERATION)
cli.command(rich_help_panel=_OPERATION)(operation.backup)
cli.command(rich_help_panel=_OPERATION)(operation.restore)
cli.command(rich_help_panel=_OPERATION)(operation.doctor)


@cli.callback()
def _root(
    context: typer.Context,
    *,
    version: Annotated[bool, typer.Option("--version", help="print the version")] = False,
) -> None:
    """Run Meno, a tutoring backend, on this machine, and administer any installation.

    [bold]meno up[/] starts the stack. [bold]meno user create-admin[/] creates an account,
    and [bold]meno sign-in[/] signs in.
    """
    output.target_options.clear()
    if version:
        from importlib.metadata import version as version_of

        print(f"meno {version_of('meno-cli')}")  # noqa: T201
    elif context.invoked_subcommand is None:
        print(context.get_help())  # noqa: T201


def main() -> None:
    """Runs the command line. The exit status of an error is 1, of invalid usage 2, of an interrupt 130."""
    # gRPC would also print its connection errors, which the error message already contains.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    for stream in (sys.stdout, sys.stderr):
        # Characters that the terminal encoding lacks are printed as question marks.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    for number in (signal.SIGTERM, signal.SIGHUP):
        # sys.exit runs the clean-up code, as an interrupt does.
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        cli(prog_name="meno")
    except BrokenPipeError:
        # The reader of the pipe has gone. Without this, the flush at exit would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if os.environ.get("MENO_DEBUG"):
            raise
        output.print_error(f"{type(error).__name__}: {error} (set MENO_DEBUG=1 for the traceback)")
    else:
        return
    sys.exit(1)
