"""The commands of every service: `python -m <service> serve | migrate | settings`."""

import gc

# Until the command line is complete: each garbage collection visits all modules imported so far, which takes a
# sixth of the time of a start. Without any collection, a service would need 0.4 MiB more.
_GC_THRESHOLDS = gc.get_threshold()
gc.set_threshold(50_000, 20, 100)

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import sqlalchemy.exc
import typer
from psycopg.conninfo import conninfo_to_dict
from pydantic import ValidationError
from pydantic_core import to_jsonable_python

from chassis import telemetry
from chassis.server import AnySettings, AppFactory, run
from chassis.settings import Settings, environment


def service_cli(service: str, kind: type[AnySettings], create_app: AppFactory[AnySettings]) -> typer.Typer:
    """Returns the command line of a service, to which the service may add commands.

    It is called after all modules are imported, and excludes them from later garbage collections.
    """
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    cli = typer.Typer(no_args_is_help=True, add_completion=False, help=f"{service} of Meno.")

    @cli.command()
    def serve() -> None:
        """Serve until SIGTERM."""
        settings = load(kind)
        telemetry.configure(service, settings.log_level)
        with friendly_errors():
            status = run(create_app, settings)
        raise typer.Exit(status)

    @cli.command()
    def migrate() -> None:
        """Migrate the database to the latest revision."""
        from chassis import migrations

        settings = load(kind)
        with friendly_errors():
            migrations.upgrade(service, settings.migration_url, serving_role=_serving_role(settings))
        typer.echo(f"{service}: the database is up to date")

    @cli.command()
    def settings() -> None:
        """List every setting with its variable, default and description."""
        for name, field in kind.model_fields.items():
            default = "required" if field.is_required() else f"default {_format_default(field.default)}"
            typer.echo(f"MENO_{name.upper()}  ({default})")
            if field.description:
                typer.echo(f"    {field.description}")

    return cli


def _format_default(default: object) -> str:
    """Returns a default in the format of the variable."""
    match to_jsonable_python(default):
        case None | "" | []:
            return "none"
        case [*items]:
            return ",".join(map(str, items))
        case value:
            return str(value)


def load(kind: type[AnySettings]) -> AnySettings:
    """Reads the settings from the environment. Exits with one line for each invalid setting."""
    try:
        return kind.model_validate(environment(kind))
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(("MENO", *(str(part) for part in problem["loc"]))).upper()
            typer.echo(f"{name}: {problem['msg'].removeprefix('Value error, ')}", err=True)
        raise typer.Exit(2) from error


@contextmanager
def friendly_errors() -> Iterator[None]:
    """Replaces the traceback of an error in the environment (database, file, port) by one line, and exits."""
    try:
        yield
    except (psycopg.OperationalError, sqlalchemy.exc.OperationalError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        typer.echo(f"cannot use the database: {reason}; check MENO_DATABASE_URL", err=True)
        raise typer.Exit(1) from error
    except OSError as error:
        prefix = f"{error.filename}: " if error.filename else ""
        typer.echo(f"{prefix}{error.strerror or error}", err=True)
        raise typer.Exit(1) from error


def _serving_role(settings: Settings) -> str | None:
    role = conninfo_to_dict(settings.database_url.get_secret_value()).get("user")
    return str(role) if role and settings.owner_database_url else None
