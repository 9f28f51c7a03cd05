"""Sign-in, sign-out and tokens."""

import json
import os
import pty
import stat
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
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
from deploy.stack.errors import CliError
from deploy.stack.layout import Layout
from deploy.stack.postgres import SUPERUSER, Postgres
from meno.identity.v1.auth_service_pb2 import RefreshTokensRequest, SignInRequest
from meno.identity.v1.user_service_pb2 import GetUserRequest
from tests import local_stack
from tests.cli.conftest import PASSWORD, Meno, error_line


@pytest.fixture
def client(layout: Layout, admin: str) -> Client:
    """A client with the sign-in of the administrator."""
    return Client(find_target("", layout.directory))


def expire_token(client: Client) -> None:
    """Marks the stored access token as expired."""
    stored = credentials.read(client.target.credentials)
    credentials.write(client.target.credentials, {**stored, "expires_at": 0})


def test_the_stored_sign_in_is_readable_only_by_its_owner(layout: Layout, admin: str) -> None:
    file = layout.directory / "cli.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert PASSWORD not in file.read_text()


def test_the_password_prompt_hides_the_password(layout: Layout, admin: str) -> None:
    terminal, child_end = pty.openpty()
    command = [str(Path(sys.executable).with_name("meno")), "sign-in", admin]
    # start_new_session, because the prompt would otherwise use the terminal of the test run.
    signing_in = subprocess.Popen(
        command,
        env=local_stack.cli_environment(layout),
        stdin=child_end,
        stdout=child_end,
        stderr=child_end,
        start_new_session=True,
    )
    os.close(child_end)
    shown = b""
    while b"Password" not in shown:
        shown += os.read(terminal, 1024)
    os.write(terminal, f"{PASSWORD}\n".encode())
    while b"Signed in" not in shown:
        shown += os.read(terminal, 1024)
    assert signing_in.wait() == 0
    os.close(terminal)
    assert PASSWORD.encode() not in shown


def test_a_one_time_code_signs_in(layout: Layout, client: Client, meno: Meno, admin: str) -> None:
    address = f"{uuid.uuid4().hex}@installation.example"
    message = meno("sign-in", address, "--code").stderr
    assert f"a code was sent to {address}: run the command again with MENO_CODE" in message
    # The code is sent after the response.
    while not (code := local_stack.find_one_time_code(layout, address)):
        continue
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    assert "CODE_INVALID" in error_line(meno("sign-in", address, "--code", MENO_CODE=wrong))
    signed_in = meno("sign-in", address, "--code", MENO_CODE=code)
    assert (signed_in.exit_code, "(STUDENT)" in signed_in.stdout) == (0, True), signed_in.stderr
    assert "ACCESS_DENIED" not in meno("class", "list").stderr
    assert f"You are signed in as {address}" in error_line(meno("config", "list"))
    assert meno("sign-in", admin).exit_code == 0


def test_whoami_shows_the_signed_in_user(meno: Meno, admin: str) -> None:
    assert meno("whoami").stdout == meno("user", "show", "me").stdout
    assert admin in meno("whoami").stdout


def test_a_wrong_password_keeps_the_stored_sign_in(meno: Meno, admin: str) -> None:
    message = error_line(meno("sign-in", admin, MENO_PASSWORD="another long walk in the rain"))
    assert "CREDENTIALS_INVALID" in message
    assert meno("user", "show", "me").exit_code == 0


def test_failed_attempts_of_others_do_not_delay_a_sign_in_on_a_known_device(
    layout: Layout, client: Client, meno: Meno, admin: str
) -> None:
    right = SignInRequest(identifier=admin, password=PASSWORD)
    with psycopg.connect(Postgres(layout.directory).url("identity", SUPERUSER)) as connection:
        # Other tests have failed on this device, whose failures are counted separately.
        connection.execute("DELETE FROM sign_in_failures")
    with pytest.raises(CliError, match="CREDENTIALS_INVALID"):
        client.call_public(client.auth.SignIn, SignInRequest(identifier=admin, password="wrong" * 4))
    with psycopg.connect(Postgres(layout.directory).url("identity", SUPERUSER)) as connection:
        connection.execute("UPDATE sign_in_failures SET failures = 50")
    with pytest.raises(CliError, match="SIGN_IN_RATE_LIMITED"):
        client.call_public(client.auth.SignIn, right)
    signed_in = meno("sign-in", admin)
    with psycopg.connect(Postgres(layout.directory).url("identity", SUPERUSER)) as connection:
        connection.execute("DELETE FROM sign_in_failures")
    assert signed_in.exit_code == 0, signed_in.stderr


@pytest.mark.parametrize("content", ["no JSON", '{"name": "root"}'])
def test_an_invalid_file_of_a_sign_in_is_replaced(
    client: Client, meno: Meno, admin: str, content: str
) -> None:
    client.target.credentials.write_text(content)
    assert meno("user", "show", "me").exit_code == 1
    assert meno("sign-in", admin).exit_code == 0
    assert meno("user", "show", "me").exit_code == 0


def test_without_a_terminal_the_error_names_the_variable(meno: Meno, admin: str) -> None:
    assert "give MENO_PASSWORD" in error_line(meno("sign-in", admin, MENO_PASSWORD=""))


def test_concurrent_commands_refresh_the_token_only_once(client: Client) -> None:
    expire_token(client)
    others = [Client(client.target) for _ in range(8)]
    with ThreadPoolExecutor(len(others)) as pool:
        tokens = {*pool.map(Client.access_token, others)}
    assert len(tokens) == 1
    # The refresh token was not used twice, so the sign-in is still valid.
    expire_token(client)
    assert client.access_token() not in tokens


def test_a_revoked_token_is_replaced(layout: Layout, client: Client, meno: Meno) -> None:
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
    _wait_until_rejected(client, before)
    assert meno("user", "show", "me").exit_code == 0
    assert client.signed_in.access_token != before


def test_a_sign_in_that_was_revoked_asks_to_sign_in_again(client: Client, meno: Meno, admin: str) -> None:
    stored = client.signed_in
    client.call_public(client.auth.RefreshTokens, RefreshTokensRequest(refresh_token=stored.refresh_token))
    with psycopg.connect(
        Postgres(Path(client.target.credentials).parent).url("identity", SUPERUSER)
    ) as connection:
        connection.execute("UPDATE sign_ins SET revoked_at = now() WHERE user_id = %s", [stored.user_id])
    expire_token(client)
    assert f"the sign-in of {admin} has ended" in error_line(meno("user", "show", "me"))
    assert "you are not signed in" in error_line(meno("user", "show", "me"))
    assert meno("sign-in", admin).exit_code == 0


def test_sign_out_revokes_the_sign_in_and_deletes_the_file(client: Client, meno: Meno, admin: str) -> None:
    stored = client.signed_in
    assert meno("sign-out").exit_code == 0
    assert meno("sign-out").exit_code == 0
    assert "you are not signed in" in error_line(meno("token"))
    with pytest.raises(Exception, match="REFRESH_TOKEN_INVALID"):
        client.call_public(
            client.auth.RefreshTokens, RefreshTokensRequest(refresh_token=stored.refresh_token)
        )
    assert meno("sign-in", admin).exit_code == 0


def test_a_remote_installation_has_its_own_sign_in(layout: Layout, meno: Meno, admin: str) -> None:
    url = f"http://localhost:{layout.port}"
    assert "you are not signed in" in error_line(meno("token", MENO_URL=url))
    assert meno("sign-in", admin, "--url", url).exit_code == 0
    assert meno("user", "show", "me", "--url", url).exit_code == 0
    file = layout.directory / "config" / "meno" / f"localhost_{layout.port}.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_an_unreachable_url_is_reported(meno: Meno, admin: str) -> None:
    url = f"http://localhost:{local_stack.free_port()}"
    assert f"{url} does not answer" in error_line(meno("sign-in", admin, "--url", url))


def test_a_url_without_tls_is_reported(layout: Layout, admin: str) -> None:
    address = f"localhost:{layout.port}"
    done = local_stack.run_meno(
        layout, "sign-in", admin, "--url", f"https://{address}", MENO_PASSWORD=PASSWORD
    )
    [message] = done.stderr.strip().splitlines()
    assert f"give --url http://{address}" in message


def test_a_rate_limited_call_is_repeated_after_a_short_delay(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays: list[float] = []
    # Only for this module: other threads of the process sleep, too.
    monkeypatch.setattr("deploy.cli.client.time", SimpleNamespace(sleep=delays.append, time=time.time))
    errors = [RateLimitedError(), RateLimitedError()]

    def rpc(*_: object, **__: object) -> str:
        if errors:
            raise errors.pop()
        return "done"

    assert client.call(rpc, GetUserRequest()) == "done"  # type: ignore[arg-type]
    assert delays == [1, 1]


class RateLimitedError(grpc.RpcError):
    """A rate limit with a retry delay of less than a second."""

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


def test_a_token_is_shown_and_checked(meno: Meno, admin: str) -> None:
    token = meno("token").stdout.strip()
    assert "ADMIN" in meno("token", "--show").stdout
    assert json.loads(meno("token", "--json").stdout)["claims"]["role"] == "ADMIN"
    assert meno("token", "--check", token).exit_code == 0
    forged = meno("token", "--check", f"{token[:-8]}AAAAAAA=")
    assert (forged.exit_code, "✗  has a valid signature" in forged.stdout) == (1, True)
    assert meno("token", "--check", "nonsense", "--json").exit_code == 1


ISSUER = FakeTokenIssuer()


@pytest.mark.parametrize(
    ("make_token", "failed_check"),
    [
        (lambda: ISSUER.token("ana"), ""),
        (lambda: ISSUER.token("ana", lifetime=-60), "has not expired"),
        (lambda: ISSUER.token("ana", iat=2**40), "was issued before now"),
        (lambda: ISSUER.token("ana", iss="another"), "was issued by Meno"),
        (lambda: ISSUER.token("ana", aud="another"), "is for Meno"),
        (lambda: ISSUER.token(""), "has a subject"),
        (lambda: ISSUER.token("ana", classes={str(n): "x" * 40 for n in range(600)}), "is small enough"),
        (lambda: FakeTokenIssuer().token("ana"), "has a valid signature"),
    ],
)
def test_each_invalid_token_fails_the_matching_check(
    make_token: Callable[[], str], failed_check: str
) -> None:
    checks = claims.check_token(make_token(), dict(ISSUER.key_set()))
    failed = [check.name for check in checks if not check.passed]
    assert failed == ([failed_check] if failed_check else [])


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c", "!.!.!", "W10.W10.x"])
def test_malformed_tokens_are_not_well_formed(text: str) -> None:
    [check] = claims.check_token(text, dict(ISSUER.key_set()))
    assert (check.passed, check.name) == (False, "is well-formed")


def _wait_until_rejected(client: Client, token: str) -> None:
    bearer: Any = (("authorization", f"Bearer {token}"),)
    with pytest.raises(grpc.RpcError) as refused:
        while True:
            client.users.GetUser(GetUserRequest(user_id=client.signed_in.user_id), metadata=bearer)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
