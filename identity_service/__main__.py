"""The command line of identity_service: `python -m identity_service --help`."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Annotated

import typer

from chassis.cli import friendly_errors, load, service_cli
from chassis.database import Connection, Transaction
from chassis.errors import DomainError
from chassis.validation import validate
from identity_service.administration.models import defaults
from identity_service.administration.models.defaults import BackendNameConflict
from identity_service.app import create_app
from identity_service.lifecycle.restores import cli as restores
from identity_service.people.users import creation
from identity_service.people.users import store as users
from identity_service.people.users.creation import NewAccount
from identity_service.people.users.rules import canonicalize
from identity_service.settings import Settings
from identity_service.sign_in.codes.one_time_codes import OneTimeCodes
from identity_service.sign_in.identifiers import rules as identifier_rules
from identity_service.sign_in.identifiers import store as identifiers
from identity_service.sign_in.keys import commands as keys
from identity_service.sign_in.keys import rules as key_rules
from identity_service.sign_in.keys.rotation import KeyRotation, SecretMismatch
from identity_service.sign_in.keys.types import KeyRow
from identity_service.sign_in.passwords.hashing import Passwords
from identity_service.sign_in.throttle import commands as throttle
from meno.identity.v1.auth_service_pb2 import SignUpRequest

_CONNECT_TIMEOUT_SECONDS = 10

cli = service_cli("identity_service", Settings, create_app)
restores.add_commands(cli)


@cli.command()
def create_admin(
    login_name: Annotated[str, typer.Option(help="login name of the administrator", prompt=True)],
    password: Annotated[
        str,
        typer.Option(
            help="15 to 200 characters; prompted for if not given",
            envvar="MENO_ADMIN_PASSWORD",
            prompt=True,
            hide_input=True,
            confirmation_prompt=True,
        ),
    ],
    email: Annotated[str, typer.Option(help="e-mail address that can also be used to sign in")] = "",
) -> None:
    """Create an administrator. The first administrator can only be created with this command."""
    settings = load(Settings)
    # The request is only validated: the rules of sign-up also apply to administrators.
    admin = SignUpRequest(login_name=login_name, email=email, display_name=login_name, password=password)
    with _exit_on(DomainError), friendly_errors():
        validate(admin)
        user_id = asyncio.run(_create_admin(settings, admin))
    typer.echo(f"created administrator {login_name} ({user_id})")


@cli.command()
def load_model_defaults() -> None:
    """Assign OpenAI's gpt-5.2 to all components that require a language model."""
    settings = load(Settings)
    with _exit_on(BackendNameConflict), friendly_errors():
        changes = asyncio.run(_load_model_defaults(settings))
    for line in changes or ["nothing to do: the default models are already assigned"]:
        typer.echo(line)


@cli.command()
def rotate_keys() -> None:
    """Add the next signing key for access tokens. No user is signed out."""
    settings = load(Settings)
    with _exit_on(SecretMismatch), friendly_errors():
        key = asyncio.run(_rotate_keys(settings))
    typer.echo(f"key {key.kid} is published now and signs from {_format_time(key.signs_from)}")
    typer.echo(f"the current key is retired at {_format_time(key_rules.retirement_time(key))}")


@cli.command()
def retire_key(
    kid: Annotated[str, typer.Argument(help="id of the key, as in /.well-known/jwks.json")],
) -> None:
    """Retire a signing key that leaked. All services reject its tokens within a second."""
    settings = load(Settings)
    with friendly_errors():
        retired = asyncio.run(_retire_key(settings, kid))
    if not retired:
        typer.echo("there is no key with this id", err=True)
        raise typer.Exit(1)
    typer.echo(f"key {kid} is retired: all services reject its tokens within a second")


@cli.command()
def unlock_user(
    identifier: Annotated[str, typer.Argument(help="login name, e-mail address or phone number of the user")],
) -> None:
    """End the waits after failed sign-ins and wrong codes of a user."""
    settings = load(Settings)
    with friendly_errors():
        user_id = asyncio.run(_unlock_user(settings, identifier))
    if user_id is None:
        typer.echo("no user has this login name, e-mail address or phone number", err=True)
        raise typer.Exit(1)
    typer.echo(f"user {user_id} can try again now")


@contextmanager
def _exit_on(expected: type[Exception]) -> Iterator[None]:
    """Exits with status 1 and the message of an expected error."""
    try:
        yield
    except expected as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


@asynccontextmanager
async def _transaction(settings: Settings) -> AsyncIterator[Transaction]:
    url = settings.database_url.get_secret_value()
    async with await Connection.connect(url, connect_timeout=_CONNECT_TIMEOUT_SECONDS) as connection:
        yield Transaction(connection)


async def _create_admin(settings: Settings, admin: SignUpRequest) -> str:
    passwords = Passwords.from_settings(settings)
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
    async with _transaction(settings) as transaction:
        return await creation.create(transaction, account, by_admin=True)


async def _retire_key(settings: Settings, kid: str) -> bool:
    """Returns False if there is no such key."""
    async with _transaction(settings) as transaction:
        return await keys.retire_key(transaction, kid)


async def _unlock_user(settings: Settings, identifier: str) -> str | None:
    """Returns the id of the user, or None if there is none."""
    passwords = Passwords.from_settings(settings)
    codes = OneTimeCodes(settings.secret.get_secret_value().encode())
    try:
        async with _transaction(settings) as transaction:
            canonical = canonicalize(identifier_rules.trim(identifier))
            user_id = await users.user_id_by_identifier(transaction, canonical)
            if user_id is not None:
                rows = await identifiers.list_by_user(transaction, user_id)
                for name in (user_id, *(row.canonical for row in rows.values())):
                    for counter in (passwords.counter(name), codes.counter(name)):
                        await throttle.reset_failures(transaction, counter)
            return user_id
    finally:
        await passwords.close()


async def _load_model_defaults(settings: Settings) -> list[str]:
    async with _transaction(settings) as transaction:
        return await defaults.load(transaction)


async def _rotate_keys(settings: Settings) -> KeyRow:
    """Returns the next signing key: the pending one, or a new one."""
    rotation = KeyRotation(settings.secret.get_secret_value().encode(), settings.key_lifetime)
    async with _transaction(settings) as transaction:
        current = await rotation.rotate_if_due(transaction)
        if key_rules.has_pending_key(current, datetime.now(UTC)):
            return current[-1]
        return await rotation.add_next(transaction, current)


def _format_time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


if __name__ == "__main__":
    cli()
