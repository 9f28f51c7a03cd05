"""Options and arguments that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

from deploy.local.layout import DEFAULT_PORT, DIRECTORY

WHERE = "Where"
"""The panel of the options that say which installation is meant."""

Port = Annotated[int, typer.Option(help="port of the gateway", envvar="PORT")]
Directory = Annotated[
    Path,
    typer.Option(
        help="where the stack keeps everything",
        envvar="MENO_LOCAL_DIRECTORY",
        show_default=False,
        rich_help_panel=WHERE,
    ),
]
Url = Annotated[
    str,
    typer.Option(
        help="an installation elsewhere, such as https://meno.example; without it the stack on this machine",
        envvar="MENO_URL",
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
ClassId = Annotated[str, typer.Argument(metavar="CLASS", help="id of the class", show_default=False)]

__all__ = ["DEFAULT_PORT", "DIRECTORY", "ClassId", "Directory", "Json", "Limit", "Port", "Url", "Who", "Yes"]
