"""`python -m identity_service serve | migrate | create-admin`."""

import asyncio
from typing import Annotated

import typer

from chassis.cli import load, service_cli
from chassis.database import Database
from chassis.errors import DomainError
from identity_service.app import compose
from identity_service.settings import Settings
from identity_service.tokens import accounts
from identity_service.tokens.accounts import NewAccount
from identity_service.tokens.passwords import Passwords

MIN_PASSWORD = 15

cli = service_cli("identity_service", Settings, compose)


@cli.command()
def create_admin(
    login_name: Annotated[str, typer.Option(help="what the administrator signs in with", prompt=True)],
    password: Annotated[
        str,
        typer.Option(
            help=f"at least {MIN_PASSWORD} characters; asked for when it is not given",
            envvar="MENO_ADMIN_PASSWORD",
            prompt=True,
            hide_input=True,
            confirmation_prompt=True,
        ),
    ],
    email: Annotated[str, typer.Option(help="an e-mail address, to sign in with as well")] = "",
) -> None:
    """Create an administrator: the only way to the first one."""
    if len(password) < MIN_PASSWORD:
        raise typer.BadParameter(f"a password has at least {MIN_PASSWORD} characters")
    settings = load(Settings)
    try:
        user_id = asyncio.run(_create_admin(settings, login_name, email, password))
    except DomainError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    typer.echo(f"created administrator {login_name} ({user_id})")


async def _create_admin(settings: Settings, login_name: str, email: str, password: str) -> str:
    database = Database(settings.database_url.get_secret_value(), max_connections=1)
    passwords = Passwords(threads=1)
    await database.open()
    try:
        account = NewAccount(
            display_name=login_name,
            role="ADMIN",
            password_hash=await passwords.hash(password),
            login_name=login_name,
            email=email,
        )
        async with database.transaction() as transaction:
            return await accounts.create(transaction, account)
    finally:
        passwords.close()
        await database.close()


if __name__ == "__main__":
    cli()
