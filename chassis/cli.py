"""The commands that every service has: `python -m <service> serve | migrate | settings`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
import sqlalchemy.exc
import typer
from psycopg.conninfo import conninfo_to_dict
from pydantic import ValidationError
from pydantic_core import to_jsonable_python

from chassis import telemetry
from chassis.server import AppFactory, run
from chassis.settings import Settings

AnySettings = TypeVar("AnySettings", bound=Settings)


def service_cli(service: str, kind: type[Settings], compose: AppFactory) -> typer.Typer:
    """The command line of a service; it may add commands of its own."""
    cli = typer.Typer(no_args_is_help=True, add_completion=False, help=f"{service} of Meno.")

    @cli.command()
    def serve() -> None:
        """Serve until SIGTERM."""
        settings = load(kind)
        telemetry.configure(service, settings.log_level)
        with friendly_errors():
            status = run(compose, settings)
        raise typer.Exit(status)

    @cli.command()
    def migrate() -> None:
        """Bring the database to the newest revision."""
        from chassis import migrations

        settings = load(kind)
        with friendly_errors():
            migrations.upgrade(service, settings.migration_url, serving_role=_serving_role(settings))
        typer.echo(f"{service}: the database is current")

    @cli.command()
    def settings() -> None:
        """Show every setting: its variable, its default and what it is for."""
        for name, field in kind.model_fields.items():
            default = "required" if field.is_required() else f"default {_written(field.default)}"
            typer.echo(f"MENO_{name.upper()}  ({default})")
            if field.description:
                typer.echo(f"    {field.description}")

    return cli


def _written(default: object) -> str:
    """A default as one would set it."""
    match to_jsonable_python(default):
        case None | "" | []:
            return "none"
        case [*items]:
            return ",".join(map(str, items))
        case value:
            return str(value)


def load(kind: type[AnySettings]) -> AnySettings:
    """Reads the settings from the environment, or exits with one line for each that is wrong."""
    try:
        return kind()
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(("MENO", *(str(part) for part in problem["loc"]))).upper()
            typer.echo(f"{name}: {problem['msg'].removeprefix('Value error, ')}", err=True)
        raise typer.Exit(2) from error


@contextmanager
def friendly_errors() -> Iterator[None]:
    """Exits with one line for what is wrong around the service: a database, a file, a port."""
    try:
        yield
    except (psycopg.OperationalError, sqlalchemy.exc.OperationalError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        typer.echo(f"the database cannot be used: {reason}; see MENO_DATABASE_URL", err=True)
        raise typer.Exit(1) from error
    except OSError as error:
        typer.echo(f"{error.filename or 'the system'}: {error.strerror or error}", err=True)
        raise typer.Exit(1) from error


def _serving_role(settings: Settings) -> str | None:
    parts: dict[str, Any] = conninfo_to_dict(settings.database_url.get_secret_value())
    role = parts.get("user")
    return str(role) if role and settings.owner_database_url else None
