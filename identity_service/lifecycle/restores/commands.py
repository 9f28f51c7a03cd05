"""What an operator runs after a restore, and to see whether the audit chain is whole."""

import asyncio
import sys
from typing import Annotated
from uuid import UUID

import typer

from chassis.cli import friendly_errors, load
from chassis.database import Database
from identity_service.administration.audit import chain
from identity_service.administration.audit.chain import Verified
from identity_service.lifecycle.restores import restoring
from identity_service.settings import Settings


def add(cli: typer.Typer) -> None:
    """Adds the commands to those that every service has."""
    for command in (begin_epoch, erase, verify_audit):
        cli.command()(command)


def begin_epoch(
    user_ids: Annotated[
        list[str] | None,
        typer.Argument(help="who had been erased since the backup; `-` reads ids, one a line"),
    ] = None,
) -> None:
    """After a restore, before serving: begin a new epoch of the account feed, end every sign-in, erase again."""
    settings, ids = load(Settings), _ids(user_ids or [])
    url = settings.database_url.get_secret_value()
    with friendly_errors():
        ended, erased = asyncio.run(restoring.begin_epoch(url)), asyncio.run(restoring.erase_again(url, ids))
    typer.echo(f"a new epoch has begun; sign-ins ended: {ended}, people erased again: {erased}")


def erase(
    user_ids: Annotated[list[str], typer.Argument(help="who had been erased; `-` reads ids, one a line")],
) -> None:
    """Erase again who had been erased, as a later backup tells. The other services follow."""
    settings, ids = load(Settings), _ids(user_ids)
    with friendly_errors():
        erased = asyncio.run(restoring.erase_again(settings.database_url.get_secret_value(), ids))
    typer.echo(f"erased {erased}; {len(ids) - erased} had been erased before")


def verify_audit(
    last: Annotated[int, typer.Option(help="only so many entries, the newest; 0 is all", min=0)] = 0,
) -> None:
    """Verify the chain of audit entries; exit with 1 where it is broken."""
    settings = load(Settings)
    with friendly_errors():
        verified = asyncio.run(_verified(settings, last))
    if verified.broken_at:
        typer.echo(f"the audit chain is broken at entry {verified.broken_at}", err=True)
        raise typer.Exit(1)
    typer.echo(f"the audit chain is unbroken up to entry {verified.head.sequence}")


def _ids(given: list[str]) -> list[str]:
    """The ids that were given, or exits where one is none: then nobody is erased."""
    words = sys.stdin.read().split() if given == ["-"] else given
    try:
        return [str(UUID(word)) for word in words]
    except ValueError as error:
        typer.echo("ids are UUIDs, separated by spaces or lines: nobody was erased", err=True)
        raise typer.Exit(2) from error


async def _verified(settings: Settings, last: int) -> Verified:
    database = Database(settings.database_url.get_secret_value(), max_connections=1, name="verify_audit")
    await database.open()
    try:
        start = await chain.before_last(database, last)
        return [step async for step in chain.verify(database, None, start)][-1]
    finally:
        await database.close()
