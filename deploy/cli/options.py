"""Options and arguments that several commands share."""

import shlex
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.cli import output
from deploy.stack.errors import CliError
from deploy.stack.layout import DEFAULT_PORT, DIRECTORY

_TARGET_PANEL = "Target"
"""The help panel of the options that choose the target."""


def _record_target_option(context: typer.Context, parameter: typer.CallbackParam, value: Any) -> Any:
    """Records an option that chooses the target, so that suggested commands repeat it."""
    source = context.get_parameter_source(parameter.name or "")
    if source is not None and source.name == "COMMANDLINE":
        output.target_options.append(f"--{parameter.name} {shlex.quote(str(value))}")
    return value


def check_class_id(value: str) -> str:
    """Returns the id of a class, or an empty text. Raises CliError if it is not a UUID."""
    if value and not is_uuid(value):
        raise CliError(f"there is no class with the id {value}: list the classes with `meno class list`")
    return value


def is_uuid(text: str) -> bool:
    """Returns whether a text is a UUID in the form of the contracts."""
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return len(text) == len(str(uuid.UUID(int=0)))


def _port(value: int) -> int:
    if not 0 < value < 2**16:
        raise typer.BadParameter(f"must be from 1 to 65535, not {value}")
    return value


Port = Annotated[int, typer.Option(help="port of the gateway", envvar="PORT", callback=_port)]
Directory = Annotated[
    Path,
    typer.Option(
        help="directory of the stack on this machine",
        envvar="MENO_LOCAL_DIRECTORY",
        callback=_record_target_option,
        show_default=False,
        rich_help_panel=_TARGET_PANEL,
    ),
]
Url = Annotated[
    str,
    typer.Option(
        help="URL of a remote installation, such as https://meno.example; default: the stack on this machine",
        envvar="MENO_URL",
        callback=_record_target_option,
        show_default=False,
        rich_help_panel=_TARGET_PANEL,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="do not ask for confirmation")]
Limit = Annotated[int, typer.Option(help="maximum number of results; 0 means all", min=0)]
Who = Annotated[
    str,
    typer.Argument(
        metavar="WHO",
        help="id, login name, e-mail address or phone number; `me` means yourself",
        show_default=False,
    ),
]
ClassId = Annotated[
    str,
    typer.Argument(metavar="CLASS", help="id of the class", show_default=False, callback=check_class_id),
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
    "check_class_id",
    "is_uuid",
]
