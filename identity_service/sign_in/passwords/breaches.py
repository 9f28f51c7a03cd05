"""Asks whether a password was stolen, without telling it: Have I Been Pwned, or a mirror.

Only the first five hexadecimal digits of the password's SHA-1 leave the house; what comes back are
the ends of all stolen passwords that begin alike (k-anonymity).
"""

import asyncio
import hashlib
import hmac

import structlog

_PREFIX = 5
# The answer is filled up, so that its length does not tell what was asked.
_HEADERS = {"Add-Padding": "true"}

log = structlog.get_logger()


class Breaches:
    """The range API under one address."""

    def __init__(self, url: str, *, patience: float = 2.0) -> None:
        """`url` is what the digits are added to, such as `https://api.pwnedpasswords.com/range/`.

        `patience` is how many seconds an answer may take.
        """
        # Needed here alone, and only where an operator has set it.
        import httpx2

        self._client = httpx2.AsyncClient(headers=_HEADERS)
        self._url = url.rstrip("/")
        self._patience = patience

    async def has(self, password: str) -> bool:
        """Whether the password was stolen; False where nobody answers in time."""
        digits = hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()
        try:
            async with asyncio.timeout(self._patience):
                ends = await self._alike(digits[:_PREFIX])
        except Exception as error:
            # Its kind alone, for some errors quote what was asked.
            log.warning("breached_passwords_not_asked", error=type(error).__name__)
            return False
        return any(_is_end(line, digits[_PREFIX:]) for line in ends.splitlines())

    async def close(self) -> None:
        """Closes its connections."""
        await self._client.aclose()

    async def _alike(self, prefix: str) -> str:
        reply = await self._client.get(f"{self._url}/{prefix}")
        return reply.raise_for_status().text


def _is_end(line: str, end: str) -> bool:
    """Whether a line, `END:COUNT`, says that the password was stolen; those that fill up count 0."""
    found, _, count = line.strip().partition(":")
    return hmac.compare_digest(found.upper().encode(), end.encode()) and count != "0"
