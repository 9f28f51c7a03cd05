"""`meno sign-in`, `sign-out` and `token`."""

import os
import sys
from typing import Annotated

import typer
from rich.text import Text

from deploy.cli import output, prompts
from deploy.cli.client import Client, with_client
from deploy.cli.conversions import enum_name
from deploy.cli.options import Json
from deploy.stack.errors import CliError


@with_client
def sign_in(
    client: Client,
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="login name, e-mail address or phone number", show_default=False),
    ],
    *,
    code: Annotated[
        bool, typer.Option("--code", help="use a one-time code, which is sent to the address")
    ] = False,
) -> None:
    """Sign in. Later commands use this sign-in.

    The password is prompted for, or taken from MENO_PASSWORD. With --code, the
    code is prompted for, or taken from MENO_CODE. Without a terminal, --code
    without MENO_CODE only sends a code, and the exit status is 1. The
    sign-in is stored in a file that only you can read.

    Example: [bold]meno sign-in root[/]
    Example: [bold]meno sign-in ana@school.example --code[/]
    """
    from meno.identity.v1.auth_service_pb2 import (
        RedeemOneTimeCodeRequest,
        RequestOneTimeCodeRequest,
        SignInRequest,
    )

    if code:
        redeem = RedeemOneTimeCodeRequest(address=name, code=os.environ.get("MENO_CODE", ""))
        if not redeem.code:
            client.call_public(client.auth.RequestOneTimeCode, RequestOneTimeCodeRequest(address=name))
            if client.target.is_local:
                output.print_next_step(
                    "meno logs identity_service",
                    "shows the code, because the local stack sends no e-mail by default",
                )
            if not sys.stdin.isatty():
                raise CliError(f"a code was sent to {name}: run the command again with MENO_CODE")
            redeem.code = prompts.text(f"Code sent to {name}", "MENO_CODE")
        tokens = client.call_public(client.auth.RedeemOneTimeCode, redeem)
    else:
        password = prompts.secret("Password", "MENO_PASSWORD")
        request = SignInRequest(identifier=name, password=password, refresh_token=client.device_token)
        tokens = client.call_public(client.auth.SignIn, request)
    client.store_sign_in(name, tokens)
    role = enum_name(tokens.user, "role")
    output.print_text(
        "Signed in at {} as [bold]{}[/] ({}).", client.target.url, tokens.user.display_name, role
    )
    if role == "ADMIN":
        output.print_next_step(
            "meno user list", "lists the users; see also meno class list, meno audit list, meno config list"
        )
    else:
        output.print_next_step("meno class list")


@with_client
def sign_out(client: Client) -> None:
    """Sign out, on this machine and at the installation.

    Example: [bold]meno sign-out[/]
    """
    from meno.identity.v1.auth_service_pb2 import SignOutRequest

    if not client.target.credentials.exists():
        output.print_text("You were not signed in at {}.", client.target.url)
        return
    stored = client.signed_in
    try:
        client.call(client.auth.SignOut, SignOutRequest(user_id="me"))
    finally:
        client.target.credentials.unlink(missing_ok=True)
    output.print_text("Signed {} out of {}.", stored.name, client.target.url)


@with_client
def token(
    client: Client,
    *,
    show: Annotated[bool, typer.Option("--show", help="show the claims of the token")] = False,
    check: Annotated[
        str,
        typer.Option(
            metavar="TOKEN", help="check a token; `-` reads it from standard input", show_default=False
        ),
    ] = "",
    json: Json = False,
) -> None:
    """Print an access token for other clients, show its claims, or check a token.

    Example: [bold]curl -H "authorization: Bearer $(meno token)" URL[/]
    Example: [bold]meno token --check -[/]
    """
    if check:
        _check(client, sys.stdin.read() if check == "-" else check, json=json)
    elif show or json:
        _print_claims(client.access_token(), json=json)
    else:
        print(client.access_token())  # noqa: T201


def _print_claims(text: str, *, json: bool) -> None:
    from deploy.cli import claims

    try:
        found = claims.decode(text)
    except ValueError as error:
        raise CliError(f"invalid token: {error}") from error
    if json:
        output.print_json({"header": found.header, "claims": found.claims})
        return
    output.print_fields(_to_fields(found.claims))


def _check(client: Client, token: str, *, json: bool) -> None:
    import json as json_module

    from deploy.cli import claims
    from meno.access.v1.key_set_service_pb2 import GetJsonWebKeysRequest

    text = token.strip().removeprefix("Bearer ").strip()
    body = client.call_public(client.keys.GetJsonWebKeys, GetJsonWebKeysRequest())
    checks = claims.check_token(text, json_module.loads(body.data))
    valid = all(check.passed for check in checks)
    if json:
        output.print_json({"valid": valid, "checks": [check._asdict() for check in checks]})
    else:
        rows = output.table("", "the token", "")
        for check in checks:
            mark = Text("✓", style="green") if check.passed else Text("✗", style="red")
            rows.add_row(mark, output.cell(check.name), output.cell(check.detail, style="dim"))
        output.print_table(rows)
        if len(checks) > 1:
            output.print_text("\nIts claims:")
            output.print_fields(_to_fields(claims.decode(text).claims))
        output.print_text(
            "\n[green]The token is valid[/], unless it was revoked."
            if valid
            else "\n[red]The token is invalid.[/]"
        )
    if not valid:
        raise typer.Exit(1)


def _to_fields(claims: dict[str, object]) -> dict[str, object]:
    """Returns the claims under readable names."""
    from datetime import UTC, datetime

    def time(name: str) -> object:
        found = claims.get(name)
        return datetime.fromtimestamp(found, UTC) if isinstance(found, int | float) else ""

    def classes(name: str) -> str:
        found = claims.get(name)
        roles = found if isinstance(found, dict) else {}
        return ", ".join(f"{role} of {class_id}" for class_id, role in roles.items())

    return {
        "user": claims.get("sub", ""),
        "role": f"{claims.get('role', '')}{' (guest)' if claims.get('guest') else ''}",
        "classes": classes("classes"),
        "archived classes": classes("archived"),
        "sign-in": claims.get("sid", ""),
        "rights version": claims.get("rv", ""),
        "issued": time("iat"),
        "expires": time("exp"),
    }
