"""`meno sign-in`, `sign-out` and `token`."""

import os
import sys
from typing import Annotated

import typer
from rich.text import Text

from deploy.cli import asking, screen
from deploy.cli.client import Client, connected
from deploy.cli.options import Json
from deploy.stack.errors import CliError


@connected
def sign_in(
    client: Client,
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="login name, e-mail address or phone number", show_default=False),
    ],
    *,
    code: Annotated[
        bool, typer.Option("--code", help="with a one-time code, which is sent to the address")
    ] = False,
) -> None:
    """Sign in; the commands after it are yours.

    The password is asked for, or taken from MENO_PASSWORD; a code that was
    sent already from MENO_CODE. Where nobody can be asked, --code without
    MENO_CODE sends one and ends with 1. The sign-in is kept in a file that
    only you can read.

    Example: [bold]meno sign-in root[/]
    Example: [bold]meno sign-in ana@school.example --code[/]
    """
    from meno.access.v1.access_pb2 import GlobalRole
    from meno.identity.v1.auth_service_pb2 import (
        RedeemOneTimeCodeRequest,
        RequestOneTimeCodeRequest,
        SignInRequest,
    )

    if code:
        redeem = RedeemOneTimeCodeRequest(address=name, code=os.environ.get("MENO_CODE", ""))
        if not redeem.code:
            client.public(client.auth.RequestOneTimeCode, RequestOneTimeCodeRequest(address=name))
            if client.place.is_here:
                screen.after("meno logs identity_service", "has it: no mail leaves this machine by default")
            if not sys.stdin.isatty():
                raise CliError(f"a code was sent to {name}: run it again with MENO_CODE")
            redeem.code = asking.text(f"Code that was sent to {name}", "MENO_CODE")
        tokens = client.public(client.auth.RedeemOneTimeCode, redeem)
    else:
        password = asking.secret("Password", "MENO_PASSWORD")
        tokens = client.public(client.auth.SignIn, SignInRequest(identifier=name, password=password))
    client.sign_in(name, tokens)
    role = GlobalRole.Name(tokens.user.role).removeprefix("GLOBAL_ROLE_")
    screen.say("Signed in at {} as [bold]{}[/] ({}).", client.place.url, tokens.user.display_name, role)
    if role == "ADMIN":
        screen.after("meno user list", "or meno class list, meno audit list, meno config list")
    else:
        screen.after("meno class list")


@connected
def sign_out(client: Client) -> None:
    """Sign out: the sign-in ends here and at the installation.

    Example: [bold]meno sign-out[/]
    """
    from meno.identity.v1.auth_service_pb2 import SignOutRequest

    if not client.place.credentials.exists():
        screen.say("Nobody was signed in at {}.", client.place.url)
        return
    held = client.signed_in
    try:
        client.call(client.auth.SignOut, SignOutRequest(user_id="me"))
    finally:
        client.place.credentials.unlink(missing_ok=True)
    screen.say("{} is signed out of {}.", held.name, client.place.url)


@connected
def token(
    client: Client,
    *,
    show: Annotated[bool, typer.Option("--show", help="tell what it says, in words")] = False,
    check: Annotated[
        str,
        typer.Option(metavar="TOKEN", help="judge a token, point by point; `-` reads it", show_default=False),
    ] = "",
    json: Json = False,
) -> None:
    """Print an access token, for other clients; tell what one says; or judge one.

    Example: [bold]curl -H "authorization: Bearer $(meno token)" URL[/]
    Example: [bold]meno token --check -[/]
    """
    if check:
        _check(client, sys.stdin.read() if check == "-" else check, json=json)
    elif show or json:
        _show(client.token(), json=json)
    else:
        print(client.token())  # noqa: T201


def _show(text: str, *, json: bool) -> None:
    from deploy.cli import claims

    try:
        found = claims.read(text)
    except ValueError as error:
        raise CliError(f"this is no token: {error}") from error
    if json:
        screen.as_json({"header": found.header, "claims": found.claims})
        return
    screen.sheet(_rights(found.claims))


def _check(client: Client, given: str, *, json: bool) -> None:
    import json as parsing

    from deploy.cli import claims
    from meno.access.v1.key_set_service_pb2 import GetJsonWebKeysRequest

    text = given.strip().removeprefix("Bearer ").strip()
    body = client.public(client.keys.GetJsonWebKeys, GetJsonWebKeysRequest())
    findings = claims.judge(text, parsing.loads(body.data))
    holds = all(finding.passed for finding in findings)
    if json:
        screen.as_json({"holds": holds, "findings": [finding._asdict() for finding in findings]})
    else:
        shown = screen.table("", "the token", "")
        for finding in findings:
            mark = Text("✓", style="green") if finding.passed else Text("✗", style="red")
            shown.add_row(mark, screen.cell(finding.what), screen.cell(finding.detail, style="dim"))
        screen.show(shown)
        if len(findings) > 1:
            screen.say("\nIt says:")
            screen.sheet(_rights(claims.read(text).claims))
        screen.say(
            "\n[green]It holds[/], unless a right that it claims was lost."
            if holds
            else "\n[red]It does not hold.[/]"
        )
    if not holds:
        raise typer.Exit(1)


def _rights(said: dict[str, object]) -> dict[str, object]:
    """The claims, by what they are to a person."""
    from datetime import UTC, datetime

    def time(name: str) -> object:
        found = said.get(name)
        return datetime.fromtimestamp(found, UTC) if isinstance(found, int | float) else ""

    def classes(name: str) -> str:
        found = said.get(name)
        held = found if isinstance(found, dict) else {}
        return ", ".join(f"{role} of {class_id}" for class_id, role in held.items())

    return {
        "person": said.get("sub", ""),
        "role": f"{said.get('role', '')}{' (guest)' if said.get('guest') else ''}",
        "classes": classes("classes"),
        "archived classes": classes("archived"),
        "sign-in": said.get("sid", ""),
        "rights version": said.get("rv", ""),
        "issued": time("iat"),
        "expires": time("exp"),
    }
