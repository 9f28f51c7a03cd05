"""Options and arguments that several commands have."""

import shlex
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.cli import screen
from deploy.stack.errors import CliError
from deploy.stack.layout import DEFAULT_PORT, DIRECTORY

WHERE = "Where"
"""The panel of the options that say which installation is meant."""


def _repeated(context: typer.Context, parameter: typer.CallbackParam, value: Any) -> Any:
    """Notes where a command was told to go, for the commands that it proposes."""
    source = context.get_parameter_source(parameter.name or "")
    if source is not None and source.name == "COMMANDLINE":
        screen.where.append(f"--{parameter.name} {shlex.quote(str(value))}")
    return value


def id_of_class(value: str) -> str:
    """The id itself. Raises CliError where it can be none."""
    if value and not is_uuid(value):
        raise CliError(f"no class has the id {value}: `meno class list`")
    return value


def is_uuid(text: str) -> bool:
    """Whether a text is an id, as the contracts write it."""
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return len(text) == len(str(uuid.UUID(int=0)))


def _port(value: int) -> int:
    if not 0 < value < 2**16:
        raise typer.BadParameter(f"a port is from 1 to 65535, not {value}")
    return value


Port = Annotated[int, typer.Option(help="port of the gateway", envvar="PORT", callback=_port)]
Directory = Annotated[
    Path,
    typer.Option(
        help="where the stack keeps everything",
        envvar="MENO_LOCAL_DIRECTORY",
        callback=_repeated,
        show_default=False,
        rich_help_panel=WHERE,
    ),
]
Url = Annotated[
    str,
    typer.Option(
        help="an installation elsewhere, such as https://meno.example; without it the stack on this machine",
        envvar="MENO_URL",
        callback=_repeated,
        show_default=False,
        rich_help_panel=WHERE,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="print JSON, for programs")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="do not ask")]
Limit = Annotated[int, typer.Option(help="how many at most; 0 is all", min=0)]
Who = Annotated[
    str,
    typer.Argument(
        metavar="WHO", help="id, login name, e-mail address or phone number; `me` is you", show_default=False
    ),
]
ClassId = Annotated[
    str,
    typer.Argument(metavar="CLASS", help="id of the class", show_default=False, callback=id_of_class),
]

__all__ = [
    "DEFAULT_PORT",
    "DIRECTORY",
    "ClassId",
    "Directory",
    "Json",
    "Limit",
    "Port",
    "Url",
    "Who",
    "Yes",
    "id_of_class",
    "is_uuid",
]
