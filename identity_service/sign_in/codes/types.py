"""Value types of one-time codes, and the interface of senders."""

from datetime import datetime
from typing import NamedTuple, Protocol


class CodeRow(NamedTuple):
    """The last code of an address. `code_hash` is None if the code is no longer valid."""

    code_hash: bytes | None
    expired: bool


class CodeMessage(NamedTuple):
    """A code to send to an address."""

    kind: str
    """EMAIL or PHONE."""
    address: str
    code: str
    expires_at: datetime


class CodeSender(Protocol):
    """Sends codes. Only the type of an exception is logged, because its text may quote the address."""

    reaches: frozenset[str]
    """The kinds of addresses to which it can send: EMAIL, PHONE."""

    async def send(self, message: CodeMessage) -> None:
        """Sends one code. Several calls may run concurrently."""

    async def close(self) -> None:
        """Closes the connections."""
