"""The senders of one-time codes: SMTP, webhook, log, and custom senders."""

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

from chassis.testing import expect_error
from identity_service.settings import Settings
from identity_service.sign_in.codes import delivery_queue, senders
from identity_service.sign_in.codes.delivery_queue import DeliveryQueue
from identity_service.sign_in.codes.types import CodeMessage
from identity_service.sign_in.codes.webhook import SIGNATURE_HEADER, sign
from identity_service.tests.code_inbox import CodeInbox
from identity_service.tests.conftest import Identity
from meno.identity.v1.auth_service_pb2 import RequestOneTimeCodeRequest

MESSAGE = CodeMessage("EMAIL", "ada@example.org", "012345", datetime(2030, 1, 2, 3, 4, tzinfo=UTC))
SECRET = "s" * 32


def settings(**values: Any) -> Settings:
    return Settings(database_url="postgresql://", secret=SECRET, tls_directory=Path(), **values)


@dataclass
class MailServer:
    """A server with the subset of SMTP that receives a message."""

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
    """Runs a mail server on a free port."""
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


def smtp_settings(mail: MailServer, user: str = "") -> dict[str, Any]:
    return {
        "code_sender": "smtp",
        "smtp_url": f"smtp://{user}127.0.0.1:{mail.port}",
        "code_from": "Meno <no-reply@meno.example>",
    }


async def test_the_smtp_sender_sends_an_email(mail: MailServer) -> None:
    sender = senders.create_sender(settings(**smtp_settings(mail, "me:p%40ss@")))
    await sender.send(MESSAGE)
    recipient, text = await mail.received.get()
    message = message_from_bytes(text)
    assert (recipient, message["To"]) == ("ada@example.org", "ada@example.org")
    assert message["From"] == "Meno <no-reply@meno.example>"
    assert "012345" in str(message.get_payload())
    assert "03:04 UTC" in str(message.get_payload())
    assert mail.logins == [b"\0me\0p@ss"]


class FailingSender:
    """A sender that fails for the code `0`, and waits until it may send."""

    reaches = frozenset({"EMAIL"})

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.may_send = asyncio.Event()
        self.done = asyncio.Event()

    async def send(self, message: CodeMessage) -> None:
        await self.may_send.wait()
        if message.code == "0":
            raise OSError(f"cannot reach {message.address}")
        self.sent.append(message.code)
        if message.code == "last":
            self.done.set()

    async def close(self) -> None:
        """Has no connections."""


async def test_failed_deliveries_are_logged_without_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_queue, "_MAX_QUEUED", 3)
    sender = FailingSender()
    queue = DeliveryQueue(sender)
    with capture_logs() as logged:
        for code in ("0", "1", "last", "dropped"):
            queue.enqueue(MESSAGE._replace(code=code))
        sending = asyncio.create_task(queue.run())
        sender.may_send.set()
        await sender.done.wait()
        sending.cancel()
    assert sorted(sender.sent) == ["1", "last"]
    events = [one["event"] for one in logged if one["event"].startswith("one_time_code")]
    assert events == ["one_time_code_dropped", "one_time_code_not_sent"]
    assert MESSAGE.address not in str(logged)


@dataclass
class WebhookServer:
    """An HTTP server that records the posted requests."""

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
async def webhook() -> AsyncIterator[WebhookServer]:
    webhook = WebhookServer()
    server = await asyncio.start_server(webhook.serve, "127.0.0.1", 0)
    webhook.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/codes"
    yield webhook
    server.close()
    await server.wait_closed()


async def test_the_webhook_sender_posts_and_signs_a_code(webhook: WebhookServer) -> None:
    sender = senders.create_sender(
        settings(code_sender="webhook", code_webhook_url=webhook.url, code_webhook_secret=SECRET)
    )
    await sender.send(MESSAGE._replace(kind="PHONE", address="+919876543210"))
    headers, body = await webhook.posted.get()
    assert json.loads(body) == {
        "kind": "PHONE",
        "address": "+919876543210",
        "code": "012345",
        "expire_time": "2030-01-02T03:04:00+00:00",
    }
    assert headers[SIGNATURE_HEADER] == sign(SECRET.encode(), body) != sign(b"another", body)
    for status in (302, 500):
        webhook.status = status
        with pytest.raises(Exception, match=str(status)):
            await sender.send(MESSAGE)
    await sender.close()


async def test_the_log_sender_writes_codes_to_the_log() -> None:
    with capture_logs() as logged:
        await senders.create_sender(settings(code_sender="log")).send(MESSAGE)
    [line] = [one for one in logged if one["event"] == "one_time_code"]
    assert (line["address"], line["code"]) == ("ada@example.org", "012345")


async def test_codes_are_not_sent_without_a_configured_sender(shared: Identity) -> None:
    for address in ("ada@example.org", "+14155550123"):
        call = shared.auth.RequestOneTimeCode(RequestOneTimeCodeRequest(address=address))
        error = await expect_error(call)
        assert (error.code, error.detail(BadRequest).field_violations[0].field) == (
            "INVALID_ARGUMENT",
            "address",
        )


def test_a_custom_sender_is_imported() -> None:
    sender = senders.create_sender(settings(code_sender="identity_service.tests.code_inbox:CodeInbox"))
    assert isinstance(sender, CodeInbox)


@pytest.mark.parametrize(
    "name", ["identity_service.tests.missing:CodeInbox", "identity_service.tests.code_inbox:Missing"]
)
def test_a_missing_sender_is_reported_in_one_line(name: str) -> None:
    with pytest.raises(SystemExit, match=r"^MENO_CODE_SENDER: .*(missing|Missing)"):
        senders.create_sender(settings(code_sender=name))


@pytest.mark.parametrize(
    ("values", "message"),
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
def test_invalid_settings_are_reported(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        settings(**values)


class TestSmtpOnly:
    """An installation that can only send e-mail."""

    @pytest.fixture
    def more_settings(self, mail: MailServer) -> dict[str, Any]:
        return smtp_settings(mail)

    async def test_a_phone_number_is_rejected(self, identity: Identity, mail: MailServer) -> None:
        error = await expect_error(
            identity.auth.RequestOneTimeCode(RequestOneTimeCodeRequest(address="+919876543210"))
        )
        [violation] = error.detail(BadRequest).field_violations
        assert (error.code, violation.field) == ("INVALID_ARGUMENT", "address")
        await identity.auth.RequestOneTimeCode(RequestOneTimeCodeRequest(address="ada@example.org"))
        recipient, _ = await mail.received.get()
        assert recipient == "ada@example.org"
