"""A code on its way, and what carries it."""

from datetime import datetime
from typing import NamedTuple, Protocol


class Letter(NamedTuple):
    """A code on its way to an address."""

    kind: str
    """EMAIL or PHONE."""
    address: str
    code: str
    expires_at: datetime


class Sender(Protocol):
    """Carries codes. What it raises is logged by its type alone, for it may quote the address."""

    reaches: frozenset[str]
    """The kinds of addresses that it can send to: EMAIL, PHONE."""

    async def send(self, letter: Letter) -> None:
        """Carries one code; several may be under way."""

    async def close(self) -> None:
        """Ends what it holds open."""
