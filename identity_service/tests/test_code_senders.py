"""What carries codes: an SMTP server, a webhook, the log, and what an operator brings."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from google.rpc.error_details_pb2 import BadRequest
from pydantic import ValidationError
from structlog.testing import capture_logs

from chassis.testing import refused
from identity_service.settings import Settings
from identity_service.sign_in.codes import outgoing, senders
from identity_service.sign_in.codes.letters import Letter
from identity_service.sign_in.codes.outgoing import Outgoing
from identity_service.sign_in.codes.webhook import SIGNATURE, signature
from identity_service.tests.conftest import Identity
from identity_service.tests.post import Post
from meno.identity.v1.auth_service_pb2 import RequestOneTimeCodeRequest

LETTER = Letter("EMAIL", "ada@example.org", "012345", datetime(2030, 1, 2, 3, 4, tzinfo=UTC))
SECRET = "s" * 32


def settings(**values: Any) -> Settings:
    return Settings(database_url="postgresql://", secret=SECRET, tls_directory=Path(), **values)


@dataclass
class MailServer:
    """As much of SMTP as it takes to receive a message."""

    port: int = 0
    logins: list[bytes] = field(default_factory=list)
    received: asyncio.Queue[tuple[str, bytes]] = field(default_factory=asyncio.Queue)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        recipient = ""
        while line := (await reader.readline()).decode().strip():
            match line.split(maxsplit=2):
                case ["ehlo", *_]:
                    writer.write(b"250-here\r\n250 AUTH PLAIN\r\n")
                case ["AUTH", "PLAIN", credentials]:
                    self.logins.append(base64.b64decode(credentials))
                    writer.write(b"235 welcome\r\n")
                case ["rcpt", to, *_]:
                    recipient = to.removeprefix("TO:").strip("<>")
                    writer.write(b"250 ok\r\n")
                case ["data"]:
                    writer.write(b"354 go on\r\n")
                    text = await reader.readuntil(b"\r\n.\r\n")
                    await self.received.put((recipient, text))
                    writer.write(b"250 sent\r\n")
                case ["QUIT" | "quit"]:
                    writer.write(b"221 bye\r\n")
                    break
                case _:
                    writer.write(b"250 ok\r\n")
        writer.close()


@asynccontextmanager
async def mail_server() -> AsyncIterator[MailServer]:
    """Runs one on a free port."""
    mail = MailServer()
    server = await asyncio.start_server(mail.serve, "127.0.0.1", 0)
    mail.port = server.sockets[0].getsockname()[1]
    try:
        yield mail
    finally:
        server.close()
        await server.wait_closed()


@pytest_asyncio.fixture
async def mail() -> AsyncIterator[MailServer]:
    async with mail_server() as running:
        yield running


def by_mail(mail: MailServer, user: str = "") -> dict[str, Any]:
    return {
        "code_sender": "smtp",
        "smtp_url": f"smtp://{user}127.0.0.1:{mail.port}",
        "code_from": "Meno <no-reply@meno.example>",
    }


async def test_a_code_comes_by_mail(mail: MailServer) -> None:
    sender = senders.sender(settings(**by_mail(mail, "me:p%40ss@")))
    await sender.send(LETTER)
    recipient, text = await mail.received.get()
    message = message_from_bytes(text)
    assert (recipient, message["To"]) == ("ada@example.org", "ada@example.org")
    assert message["From"] == "Meno <no-reply@meno.example>"
    assert "012345" in str(message.get_payload())
    assert "03:04 UTC" in str(message.get_payload())
    assert mail.logins == [b"\0me\0p@ss"]


class OneFails:
    """A sender that fails once, and stays silent until it may go on."""

    reaches = frozenset({"EMAIL"})

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.may_go_on = asyncio.Event()
        self.done = asyncio.Event()

    async def send(self, letter: Letter) -> None:
        await self.may_go_on.wait()
        if letter.code == "0":
            raise OSError(f"cannot reach {letter.address}")
        self.sent.append(letter.code)
        if letter.code == "last":
            self.done.set()

    async def close(self) -> None:
        """Nothing is open."""


async def test_what_cannot_be_sent_is_logged_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "_MAX_WAITING", 3)
    sender = OneFails()
    queue = Outgoing(sender)
    with capture_logs() as logged:
        for code in ("0", "1", "last", "dropped"):
            queue.put(LETTER._replace(code=code))
        sending = asyncio.create_task(queue.run())
        sender.may_go_on.set()
        await sender.done.wait()
        sending.cancel()
    assert sorted(sender.sent) == ["1", "last"]
    assert [one["event"] for one in logged] == ["one_time_code_dropped", "one_time_code_not_sent"]
    assert LETTER.address not in str(logged)


@dataclass
class Hook:
    """An HTTP server that keeps what is posted."""

    url: str = ""
    status: int = 200
    posted: asyncio.Queue[tuple[dict[str, str], bytes]] = field(default_factory=asyncio.Queue)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()[1:-1]
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head)}
        body = await reader.readexactly(int(headers["content-length"]))
        await self.posted.put((headers, body))
        writer.write(f"HTTP/1.1 {self.status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()


@pytest_asyncio.fixture
async def hook() -> AsyncIterator[Hook]:
    made = Hook()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/codes"
    yield made
    server.close()
    await server.wait_closed()


async def test_a_code_is_posted_and_signed(hook: Hook) -> None:
    sender = senders.sender(
        settings(code_sender="webhook", code_webhook_url=hook.url, code_webhook_secret=SECRET)
    )
    await sender.send(LETTER._replace(kind="PHONE", address="+919876543210"))
    headers, body = await hook.posted.get()
    assert json.loads(body) == {
        "kind": "PHONE",
        "address": "+919876543210",
        "code": "012345",
        "expire_time": "2030-01-02T03:04:00+00:00",
    }
    assert headers[SIGNATURE] == signature(SECRET.encode(), body) != signature(b"another", body)
    for status in (302, 500):
        hook.status = status
        with pytest.raises(Exception, match=str(status)):
            await sender.send(LETTER)
    await sender.close()


async def test_the_local_stack_reads_codes_in_the_log() -> None:
    with capture_logs() as logged:
        await senders.sender(settings(code_sender="log")).send(LETTER)
    assert [(one["event"], one["address"], one["code"]) for one in logged] == [
        ("one_time_code", "ada@example.org", "012345")
    ]


async def test_unless_an_operator_says_how_no_code_is_sent(town: Identity) -> None:
    for address in ("ada@example.org", "+14155550123"):
        asked = town.auth.RequestOneTimeCode(RequestOneTimeCodeRequest(address=address))
        told = await refused(asked)
        assert (told.code, told.detail(BadRequest).field_violations[0].field) == (
            "INVALID_ARGUMENT",
            "address",
        )


def test_an_operator_brings_a_sender_of_their_own() -> None:
    made = senders.sender(settings(code_sender="identity_service.tests.post:Post"))
    assert isinstance(made, Post)


@pytest.mark.parametrize(
    "name", ["identity_service.tests.nowhere:Post", "identity_service.tests.post:Nobody"]
)
def test_a_sender_that_is_not_there_is_told_in_one_line(name: str) -> None:
    with pytest.raises(SystemExit, match=r"^MENO_CODE_SENDER: .*(nowhere|Nobody)"):
        senders.sender(settings(code_sender=name))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"code_sender": "pigeon"}, "pattern"),
        ({"code_sender": "smtp"}, "MENO_SMTP_URL"),
        ({"code_sender": "smtp", "smtp_url": "smtp://h"}, "MENO_CODE_FROM"),
        ({"code_sender": "smtp", "smtp_url": "http://h", "code_from": "a@b.c"}, "MENO_SMTP_URL"),
        ({"code_sender": "webhook"}, "MENO_CODE_WEBHOOK_URL"),
        ({"code_sender": "webhook", "code_webhook_url": "https://h"}, "MENO_CODE_WEBHOOK_SECRET"),
        (
            {"code_sender": "webhook", "code_webhook_url": "http://h", "code_webhook_secret": SECRET},
            "https://",
        ),
        ({"oidc_issuers": "no JSON"}, "oidc_issuers"),
        ({"oidc_issuers": json.dumps([{"issuer": "https://i", "audiences": ["a"]}] * 2)}, "twice"),
    ],
)
def test_settings_that_do_not_fit_are_told(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        settings(**values)


class TestByMailAlone:
    """An installation that sends e-mail and nothing else."""

    @pytest.fixture
    def more_settings(self, mail: MailServer) -> dict[str, Any]:
        return by_mail(mail)

    async def test_a_phone_gets_no_code(self, identity: Identity, mail: MailServer) -> None:
        denied = await refused(
            identity.auth.RequestOneTimeCode(RequestOneTimeCodeRequest(address="+919876543210"))
        )
        [violation] = denied.detail(BadRequest).field_violations
        assert (denied.code, violation.field) == ("INVALID_ARGUMENT", "address")
        await identity.auth.RequestOneTimeCode(RequestOneTimeCodeRequest(address="ada@example.org"))
        recipient, _ = await mail.received.get()
        assert recipient == "ada@example.org"
