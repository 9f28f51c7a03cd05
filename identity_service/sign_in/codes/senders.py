"""What carries codes to people: a table of what is built in, and anything else that can be imported."""

import importlib
from collections.abc import Callable, Mapping

import structlog

from identity_service.settings import Settings
from identity_service.sign_in.codes.letters import Letter, Sender

log = structlog.get_logger()


class NoSender:
    """Sends nothing, so that nobody signs in by a code."""

    reaches: frozenset[str] = frozenset()

    def __init__(self, settings: Settings) -> None:
        """It needs no settings."""

    async def send(self, letter: Letter) -> None:
        """Is never asked to, for it reaches nobody."""
        raise NotImplementedError

    async def close(self) -> None:
        """Holds nothing open."""


class LogSender:
    """Writes codes to the log, where whoever reads it can sign in as anybody: for a local stack alone."""

    reaches = frozenset({"EMAIL", "PHONE"})

    def __init__(self, settings: Settings) -> None:
        """It needs no settings."""

    async def send(self, letter: Letter) -> None:
        """Writes one line."""
        log.info("one_time_code", kind=letter.kind, address=letter.address, code=letter.code)

    async def close(self) -> None:
        """Holds nothing open."""


def _smtp(settings: Settings) -> Sender:
    from identity_service.sign_in.codes.smtp import SmtpSender

    return SmtpSender(settings)


def _webhook(settings: Settings) -> Sender:
    from identity_service.sign_in.codes.webhook import WebhookSender

    return WebhookSender(settings)


SENDERS: Mapping[str, Callable[[Settings], Sender]] = {
    "none": NoSender,
    "log": LogSender,
    "smtp": _smtp,
    "webhook": _webhook,
}
"""The senders that are built in, by the value of MENO_CODE_SENDER."""


def sender(settings: Settings) -> Sender:
    """The sender that the settings name. Exits with one line where it cannot be imported."""
    make = SENDERS.get(settings.code_sender) or _imported(settings.code_sender)
    return make(settings)


def _imported(name: str) -> Callable[[Settings], Sender]:
    module, _, factory = name.partition(":")
    try:
        found: Callable[[Settings], Sender] = getattr(importlib.import_module(module), factory)
    except (ImportError, AttributeError, ValueError) as error:
        raise SystemExit(f"MENO_CODE_SENDER: {error}") from error
    return found
