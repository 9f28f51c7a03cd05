"""Signing in, and the tokens that come of it."""

import json
import os
import pty
import stat
import subprocess
import sys
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from google.rpc import status_pb2
from google.rpc.error_details_pb2 import RetryInfo

from chassis.testing import FakeTokenIssuer
from deploy.cli import claims, credentials
from deploy.cli.client import Client
from deploy.cli.target import find_target
from deploy.stack.layout import Layout
from deploy.stack.postgres import SUPERUSER, Postgres
from meno.identity.v1.auth_service_pb2 import RefreshTokensRequest
from meno.identity.v1.user_service_pb2 import GetUserRequest
from tests import running
from tests.cli.conftest import PASSWORD, Meno, line


@pytest.fixture
def client(layout: Layout, admin: str) -> Client:
    """Calls as the administrator."""
    return Client(find_target("", layout.directory))


def grow_old(client: Client) -> None:
    """The access token has ended, as far as the commands know."""
    kept = credentials.read(client.target.credentials)
    credentials.write(client.target.credentials, {**kept, "expires_at": 0})


def test_a_sign_in_is_kept_for_its_owner_alone(layout: Layout, admin: str) -> None:
    file = layout.directory / "cli.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert PASSWORD not in file.read_text()


def test_the_password_is_asked_for_and_not_shown(layout: Layout, admin: str) -> None:
    ours, theirs = pty.openpty()
    command = [str(Path(sys.executable).with_name("meno")), "sign-in", admin]
    # Without a terminal of its own it would ask at that of whoever runs the tests.
    signing_in = subprocess.Popen(
        command, env=running.at(layout), stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    shown = b""
    while b"Password" not in shown:
        shown += os.read(ours, 1024)
    os.write(ours, f"{PASSWORD}\n".encode())
    while b"Signed in" not in shown:
        shown += os.read(ours, 1024)
    assert signing_in.wait() == 0
    os.close(ours)
    assert PASSWORD.encode() not in shown


def test_a_code_that_was_sent_signs_in(layout: Layout, client: Client, meno: Meno, admin: str) -> None:
    address = f"{uuid.uuid4().hex}@school.example"
    said = meno("sign-in", address, "--code").stderr
    assert f"a code was sent to {address}: run it again with MENO_CODE" in said
    # It is sent after the answer.
    while not (code := running.code_sent(layout, address)):
        continue
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    assert "CODE_INVALID" in line(meno("sign-in", address, "--code", MENO_CODE=wrong))
    signed_in = meno("sign-in", address, "--code", MENO_CODE=code)
    assert (signed_in.exit_code, "(STUDENT)" in signed_in.stdout) == (0, True), signed_in.stderr
    assert "ACCESS_DENIED" not in meno("class", "list").stderr
    assert f"You are signed in as {address}" in line(meno("config", "list"))
    assert meno("sign-in", admin).exit_code == 0


def test_who_is_signed_in_is_shown(meno: Meno, admin: str) -> None:
    assert meno("whoami").stdout == meno("user", "show", "me").stdout
    assert admin in meno("whoami").stdout


def test_a_wrong_password_leaves_the_sign_in_as_it_is(meno: Meno, admin: str) -> None:
    said = line(meno("sign-in", admin, MENO_PASSWORD="another long walk in the rain"))
    assert "CREDENTIALS_INVALID" in said
    assert meno("user", "show", "me").exit_code == 0


def test_where_nobody_can_be_asked_it_is_said_how_to_do_without(meno: Meno, admin: str) -> None:
    assert "give MENO_PASSWORD" in line(meno("sign-in", admin, MENO_PASSWORD=""))


def test_commands_at_the_same_time_refresh_a_token_once(client: Client) -> None:
    grow_old(client)
    others = [Client(client.target) for _ in range(8)]
    with ThreadPoolExecutor(len(others)) as at_once:
        tokens = {*at_once.map(Client.access_token, others)}
    assert len(tokens) == 1
    # The family of refresh tokens goes on.
    grow_old(client)
    assert client.access_token() not in tokens


def test_who_loses_a_right_calls_on_with_another_token(layout: Layout, client: Client, meno: Meno) -> None:
    before = client.access_token()
    with psycopg.connect(Postgres(layout.directory).url("identity", SUPERUSER)) as connection:
        connection.execute(
            """
            WITH lost AS (
                UPDATE users SET rights_version = rights_version + 1 WHERE user_id = %s
                RETURNING user_id, rights_version
            )
            INSERT INTO account_events (sequence, kind, body, permanent)
            SELECT (SELECT coalesce(max(sequence), 0) + 1 FROM account_events), 'rights_lost',
                jsonb_build_object('user_id', user_id, 'rights_version', rights_version), false FROM lost
            """,
            [client.signed_in.user_id],
        )
    _until_refused(client, before)
    assert meno("user", "show", "me").exit_code == 0
    assert client.signed_in.access_token != before


def test_who_was_signed_out_elsewhere_is_told_to_sign_in(client: Client, meno: Meno, admin: str) -> None:
    kept = client.signed_in
    client.call_public(client.auth.RefreshTokens, RefreshTokensRequest(refresh_token=kept.refresh_token))
    with psycopg.connect(
        Postgres(Path(client.target.credentials).parent).url("identity", SUPERUSER)
    ) as connection:
        connection.execute("UPDATE sign_ins SET revoked_at = now() WHERE user_id = %s", [kept.user_id])
    grow_old(client)
    assert f"the sign-in of {admin} has ended" in line(meno("user", "show", "me"))
    assert "nobody is signed in" in line(meno("user", "show", "me"))
    assert meno("sign-in", admin).exit_code == 0


def test_signing_out_ends_it_here_and_there(client: Client, meno: Meno, admin: str) -> None:
    kept = client.signed_in
    assert meno("sign-out").exit_code == 0
    assert meno("sign-out").exit_code == 0
    assert "nobody is signed in" in line(meno("token"))
    with pytest.raises(Exception, match="REFRESH_TOKEN_INVALID"):
        client.call_public(client.auth.RefreshTokens, RefreshTokensRequest(refresh_token=kept.refresh_token))
    assert meno("sign-in", admin).exit_code == 0


def test_an_installation_elsewhere_has_a_sign_in_of_its_own(layout: Layout, meno: Meno, admin: str) -> None:
    there = f"http://localhost:{layout.port}"
    assert "nobody is signed in" in line(meno("token", MENO_URL=there))
    assert meno("sign-in", admin, "--url", there).exit_code == 0
    assert meno("user", "show", "me", "--url", there).exit_code == 0
    file = layout.directory / "config" / "meno" / f"localhost_{layout.port}.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_an_address_where_nothing_answers(meno: Meno, admin: str) -> None:
    there = f"http://localhost:{running.free_port()}"
    assert f"{there} does not answer" in line(meno("sign-in", admin, "--url", there))


def test_an_address_that_does_not_speak_tls(layout: Layout, admin: str) -> None:
    there = f"localhost:{layout.port}"
    done = running.meno(layout, "sign-in", admin, "--url", f"https://{there}", MENO_PASSWORD=PASSWORD)
    [said] = done.stderr.strip().splitlines()
    assert f"give --url http://{there}" in said


def test_a_short_wait_is_waited_out(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    busy = [Busy(), Busy()]

    def rpc(*_: object, **__: object) -> str:
        if busy:
            raise busy.pop()
        return "done"

    assert client.call(rpc, GetUserRequest()) == "done"  # type: ignore[arg-type]
    assert waited == [1, 1]


class Busy(grpc.RpcError):
    """A call that came too often, and may come again in less than a second."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.RESOURCE_EXHAUSTED

    def details(self) -> str:
        return "Too many calls."

    def trailing_metadata(self) -> Any:
        info = RetryInfo()
        info.retry_delay.FromMilliseconds(400)
        status = status_pb2.Status(code=8, message=self.details())
        status.details.add().Pack(info)
        return (("grpc-status-details-bin", status.SerializeToString()),)


def test_a_token_is_told_in_words_and_judged(meno: Meno, admin: str) -> None:
    token = meno("token").stdout.strip()
    assert "ADMIN" in meno("token", "--show").stdout
    assert json.loads(meno("token", "--json").stdout)["claims"]["role"] == "ADMIN"
    assert meno("token", "--check", token).exit_code == 0
    forged = meno("token", "--check", f"{token[:-8]}AAAAAAA=")
    assert (forged.exit_code, "✗  has its signature" in forged.stdout) == (1, True)
    assert meno("token", "--check", "nonsense", "--json").exit_code == 1


ISSUER = FakeTokenIssuer()


@pytest.mark.parametrize(
    ("made", "fault"),
    [
        (lambda: ISSUER.token("ana"), ""),
        (lambda: ISSUER.token("ana", lifetime=-60), "has not expired"),
        (lambda: ISSUER.token("ana", iat=2**40), "was issued before now"),
        (lambda: ISSUER.token("ana", iss="another"), "was issued by Meno"),
        (lambda: ISSUER.token("ana", aud="another"), "is for Meno"),
        (lambda: ISSUER.token(""), "names a person"),
        (lambda: ISSUER.token("ana", classes={str(n): "x" * 40 for n in range(600)}), "is small enough"),
        (lambda: FakeTokenIssuer().token("ana"), "has its signature"),
    ],
)
def test_each_fault_of_a_token_is_named(made: Callable[[], str], fault: str) -> None:
    findings = claims.check_token(made(), dict(ISSUER.key_set()))
    assert [finding.what for finding in findings if not finding.passed] == ([fault] if fault else [])


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c", "!.!.!", "W10.W10.x"])
def test_what_is_no_token_is_said_to_be_none(text: str) -> None:
    [finding] = claims.check_token(text, dict(ISSUER.key_set()))
    assert (finding.passed, finding.what) == (False, "can be read")


def _until_refused(client: Client, token: str) -> None:
    bearer: Any = (("authorization", f"Bearer {token}"),)
    with pytest.raises(grpc.RpcError) as refused:
        while True:
            client.users.GetUser(GetUserRequest(user_id=client.signed_in.user_id), metadata=bearer)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
