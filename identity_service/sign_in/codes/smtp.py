"""Sends codes by e-mail, through an SMTP server."""

import asyncio
import smtplib
import ssl
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from identity_service.endpoints import is_loopback
from identity_service.settings import Settings
from identity_service.sign_in.codes.types import CodeMessage

_TIMEOUT_SECONDS = 10.0
_TEXT = """\
{code} is your code. It is valid until {expiry}.

Do not share it: anyone who has the code can sign in as you. If you did not request it, ignore this message.
"""


class SmtpSender:
    """Sends through one server. Each code uses its own connection and thread, because smtplib is blocking."""

    reaches = frozenset({"EMAIL"})

    def __init__(self, settings: Settings) -> None:
        assert settings.smtp_url is not None
        url = urlsplit(settings.smtp_url.get_secret_value())
        self._implicit_tls = url.scheme == "smtps"
        self._host = url.hostname or ""
        self._port = url.port or (465 if self._implicit_tls else 587)
        self._user = unquote(url.username or "")
        self._password = unquote(url.password or "")
        self._from = settings.code_from

    async def send(self, message: CodeMessage) -> None:
        """Sends one e-mail. Raises OSError or SMTPException."""
        await asyncio.to_thread(self._send, self._to_email(message), message.address)

    async def close(self) -> None:
        """Has no open connections."""

    def _to_email(self, message: CodeMessage) -> EmailMessage:
        email = EmailMessage()
        email["From"] = self._from
        email["To"] = message.address
        email["Subject"] = f"{message.code} is your code"
        email["Auto-Submitted"] = "auto-generated"
        email.set_content(_TEXT.format(code=message.code, expiry=f"{message.expires_at:%H:%M} UTC"))
        return email

    def _send(self, email: EmailMessage, address: str) -> None:
        with self._connect() as server:
            if self._user:
                server.login(self._user, self._password)
            server.send_message(email, to_addrs=[address])

    def _connect(self) -> smtplib.SMTP:
        context = ssl.create_default_context()
        if self._implicit_tls:
            return smtplib.SMTP_SSL(self._host, self._port, timeout=_TIMEOUT_SECONDS, context=context)
        server = smtplib.SMTP(self._host, self._port, timeout=_TIMEOUT_SECONDS)
        # Codes and passwords are never sent to another machine in plain text.
        if not is_loopback(self._host):
            server.starttls(context=context)
        return server
