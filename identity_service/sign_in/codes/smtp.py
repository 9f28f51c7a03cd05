"""Sends codes by e-mail, through any SMTP server."""

import asyncio
import smtplib
import ssl
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from identity_service.endpoints import is_loopback
from identity_service.settings import Settings
from identity_service.sign_in.codes.letters import Letter

_TIMEOUT = 10.0
_TEXT = """\
{code} is your code. It is accepted until {until}.

Who asks you for it wants to sign in as you. If you did not request it, there is nothing to do.
"""


class SmtpSender:
    """Sends through one server, over a connection of its own for each code, in a thread."""

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

    async def send(self, letter: Letter) -> None:
        """Sends one e-mail. Raises OSError or SMTPException."""
        await asyncio.to_thread(self._send, self._written(letter), letter.address)

    async def close(self) -> None:
        """Holds nothing open."""

    def _written(self, letter: Letter) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._from
        message["To"] = letter.address
        message["Subject"] = f"{letter.code} is your code"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(_TEXT.format(code=letter.code, until=f"{letter.expires_at:%H:%M} UTC"))
        return message

    def _send(self, message: EmailMessage, address: str) -> None:
        with self._connected() as server:
            if self._user:
                server.login(self._user, self._password)
            server.send_message(message, to_addrs=[address])

    def _connected(self) -> smtplib.SMTP:
        context = ssl.create_default_context()
        if self._implicit_tls:
            return smtplib.SMTP_SSL(self._host, self._port, timeout=_TIMEOUT, context=context)
        server = smtplib.SMTP(self._host, self._port, timeout=_TIMEOUT)
        # Neither a code nor a password leaves this machine in plain text.
        if not is_loopback(self._host):
            server.starttls(context=context)
        return server
