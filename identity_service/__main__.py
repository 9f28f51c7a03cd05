"""`python -m identity_service serve | migrate | create-admin | rotate-keys | load-model-defaults`, and for restores."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated

import typer

from chassis.cli import explained, load, service_cli
from chassis.database import Connection, Transaction
from chassis.errors import DomainError
from chassis.validation import validate
from identity_service.administration.models import defaults
from identity_service.administration.models.defaults import OtherBackend
from identity_service.app import compose
from identity_service.lifecycle.restores import commands
from identity_service.people.users import creation
from identity_service.people.users.creation import NewAccount
from identity_service.settings import Settings
from identity_service.sign_in.keys import rules as key_rules
from identity_service.sign_in.keys.rotation import Rotation, SecretIsAnother
from identity_service.sign_in.keys.store import KeyRow
from identity_service.sign_in.passwords.hashing import Passwords
from meno.identity.v1.auth_service_pb2 import SignUpRequest

_CONNECT_SECONDS = 10

cli = service_cli("identity_service", Settings, compose)
commands.add(cli)


@cli.command()
def create_admin(
    login_name: Annotated[str, typer.Option(help="what the administrator signs in with", prompt=True)],
    password: Annotated[
        str,
        typer.Option(
            help="15 to 200 characters; asked for when it is not given",
            envvar="MENO_ADMIN_PASSWORD",
            prompt=True,
            hide_input=True,
            confirmation_prompt=True,
        ),
    ],
    email: Annotated[str, typer.Option(help="an e-mail address, to sign in with as well")] = "",
) -> None:
    """Create an administrator: the only way to the first one."""
    settings = load(Settings)
    # What holds for whoever signs up holds for an administrator.
    admin = SignUpRequest(login_name=login_name, email=email, display_name=login_name, password=password)
    try:
        validate(admin)
        with explained():
            user_id = asyncio.run(_create_admin(settings, admin))
    except DomainError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    typer.echo(f"created administrator {login_name} ({user_id})")


@cli.command()
def load_model_defaults() -> None:
    """Have OpenAI's gpt-5.2 do what needs a language model, until an administrator decides otherwise."""
    settings = load(Settings)
    try:
        with explained():
            did = asyncio.run(_load_model_defaults(settings))
    except OtherBackend as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    for line in did or ["nothing to do: the defaults are loaded"]:
        typer.echo(line)


async def _load_model_defaults(settings: Settings) -> list[str]:
    url = settings.database_url.get_secret_value()
    async with await Connection.connect(url, connect_timeout=_CONNECT_SECONDS) as connection:
        return await defaults.load(Transaction(connection))


@cli.command()
def rotate_keys() -> None:
    """Add the key that signs access tokens next; nobody is signed out."""
    settings = load(Settings)
    try:
        with explained():
            successor = asyncio.run(_rotate_keys(settings))
    except SecretIsAnother as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    typer.echo(f"key {successor.kid} is published now and signs from {_moment(successor.signs_from)} on")
    typer.echo(f"the key that signs until then goes at {_moment(key_rules.retires(successor))}")


async def _rotate_keys(settings: Settings) -> KeyRow:
    """The key that signs next: one that waits already, or a new one."""
    rotation = Rotation(settings.secret.get_secret_value().encode(), settings.key_lifetime)
    url = settings.database_url.get_secret_value()
    async with await Connection.connect(url, connect_timeout=_CONNECT_SECONDS) as connection:
        transaction = Transaction(connection)
        keys = await rotation.keys(transaction)
        if key_rules.waits(keys, datetime.now(UTC)):
            return keys[-1]
        return await rotation.add_next(transaction, keys)


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


async def _create_admin(settings: Settings, admin: SignUpRequest) -> str:
    passwords = Passwords.of(settings)
    try:
        await passwords.check(admin.password, admin.login_name, admin.email)
        account = NewAccount(
            display_name=admin.display_name,
            role="ADMIN",
            password_hash=await passwords.hash(admin.password),
            login_name=admin.login_name,
            email=admin.email,
        )
    finally:
        await passwords.close()
    url = settings.database_url.get_secret_value()
    async with await Connection.connect(url, connect_timeout=_CONNECT_SECONDS) as connection:
        return await creation.create(Transaction(connection), account)


if __name__ == "__main__":
    cli()
