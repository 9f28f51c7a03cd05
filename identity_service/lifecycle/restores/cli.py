"""Commands for an operator: after a restore, and to verify the audit chain."""

import asyncio
import sys
from typing import Annotated
from uuid import UUID

import typer

from chassis.cli import friendly_errors, load
from chassis.database import Database
from identity_service.administration.audit import commands as audit
from identity_service.administration.audit.types import Verification
from identity_service.lifecycle.restores import commands
from identity_service.settings import Settings


def add_commands(cli: typer.Typer) -> None:
    """Adds the commands to the command line of the service."""
    for command in (begin_epoch, erase, verify_audit):
        cli.command()(command)


def begin_epoch(
    user_ids: Annotated[
        list[str] | None,
        typer.Argument(help="ids of users erased since the backup; `-` reads them from standard input"),
    ] = None,
) -> None:
    """Begin a new epoch of the account feed, end every sign-in and re-apply erasures.

    Run this command after a restore, before the service starts.
    """
    settings, ids = load(Settings), _parse_ids(user_ids or [])
    url = settings.database_url.get_secret_value()
    with friendly_errors():
        ended = asyncio.run(commands.begin_epoch(url))
        erased = asyncio.run(commands.reapply_erasures(url, ids))
    typer.echo(f"began a new epoch; sign-ins ended: {ended}, erasures re-applied: {erased}")


def erase(
    user_ids: Annotated[
        list[str], typer.Argument(help="ids of erased users; `-` reads them from standard input")
    ],
) -> None:
    """Re-apply erasures that a later backup contains. The other services follow."""
    settings, ids = load(Settings), _parse_ids(user_ids)
    with friendly_errors():
        erased = asyncio.run(commands.reapply_erasures(settings.database_url.get_secret_value(), ids))
    typer.echo(f"users erased: {erased}; already erased: {len(ids) - erased}")


def verify_audit(
    last: Annotated[
        int, typer.Option(help="the number of newest entries to verify; 0 verifies all", min=0)
    ] = 0,
) -> None:
    """Verify the audit chain. The exit code is 1 if the chain is broken."""
    settings = load(Settings)
    with friendly_errors():
        verified = asyncio.run(_verify(settings, last))
    if verified.broken_at:
        typer.echo(f"the audit chain is broken at entry {verified.broken_at}", err=True)
        raise typer.Exit(1)
    typer.echo(f"the audit chain is intact up to entry {verified.head.sequence}")


def _parse_ids(arguments: list[str]) -> list[str]:
    """Exits with code 2 before any user is erased, if an id is not a UUID."""
    words = sys.stdin.read().split() if arguments == ["-"] else arguments
    try:
        return [str(UUID(word)) for word in words]
    except ValueError as error:
        typer.echo("ids must be UUIDs, separated by spaces or line breaks; no user was erased", err=True)
        raise typer.Exit(2) from error


async def _verify(settings: Settings, last: int) -> Verification:
    database = Database(settings.database_url.get_secret_value(), max_connections=1, name="verify_audit")
    await database.open()
    try:
        start = await audit.head_before(database, last)
        return [step async for step in audit.verify(database, None, start)][-1]
    finally:
        await database.close()
