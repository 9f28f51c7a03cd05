"""The senders of one-time codes: the built-in ones, and any other that can be imported."""

import importlib
from collections.abc import Callable, Mapping

from chassis.telemetry import get_logger
from identity_service.settings import Settings
from identity_service.sign_in.codes.types import CodeMessage, CodeSender

log = get_logger()


class NoSender:
    """Reaches no address, so that sign-in by code is disabled."""

    reaches: frozenset[str] = frozenset()

    def __init__(self, settings: Settings) -> None:
        """Needs no settings."""

    async def send(self, message: CodeMessage) -> None:
        """Raises NotImplementedError. It is never called, because the sender reaches no address."""
        raise NotImplementedError

    async def close(self) -> None:
        """Has no connections."""


class LogSender:
    """Writes codes to the log. Only for a local stack: every reader of the log can sign in as any user."""

    reaches = frozenset({"EMAIL", "PHONE"})

    def __init__(self, settings: Settings) -> None:
        """Needs no settings."""

    async def send(self, message: CodeMessage) -> None:
        """Writes one log entry."""
        log.info("one_time_code", kind=message.kind, address=message.address, code=message.code)

    async def close(self) -> None:
        """Has no connections."""


def _create_smtp(settings: Settings) -> CodeSender:
    from identity_service.sign_in.codes.smtp import SmtpSender

    return SmtpSender(settings)


def _create_webhook(settings: Settings) -> CodeSender:
    from identity_service.sign_in.codes.webhook import WebhookSender

    return WebhookSender(settings)


SENDERS: Mapping[str, Callable[[Settings], CodeSender]] = {
    "none": NoSender,
    "log": LogSender,
    "smtp": _create_smtp,
    "webhook": _create_webhook,
}
"""The built-in senders, by the value of MENO_CODE_SENDER."""


def create_sender(settings: Settings) -> CodeSender:
    """Returns the configured sender. Raises SystemExit with one line if it cannot be imported."""
    factory = SENDERS.get(settings.code_sender) or _import_factory(settings.code_sender)
    return factory(settings)


def _import_factory(name: str) -> Callable[[Settings], CodeSender]:
    module, _, attribute = name.partition(":")
    try:
        factory: Callable[[Settings], CodeSender] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise SystemExit(f"MENO_CODE_SENDER: {error}") from error
    return factory
