"""Checks passwords against the breach list of Have I Been Pwned, or of a mirror.

Only the first five hexadecimal digits of the password's SHA-1 are sent. The response contains the suffixes
of all breached passwords with this prefix (k-anonymity).
"""

import asyncio
import hashlib
import hmac

from chassis.telemetry import get_logger

_PREFIX_LENGTH = 5
# The response is padded, so that its length does not reveal the prefix.
_HEADERS = {"Add-Padding": "true"}

log = get_logger()


class BreachList:
    """A client of the range API."""

    def __init__(self, url: str, *, timeout_seconds: float = 2.0) -> None:
        """`url` is the URL before the prefix, such as `https://api.pwnedpasswords.com/range/`."""
        # Imported only if an operator has configured the check.
        import httpx2

        self._client = httpx2.AsyncClient(headers=_HEADERS)
        self._url = url.rstrip("/")
        self._timeout_seconds = timeout_seconds

    async def contains(self, password: str) -> bool:
        """Returns whether the password is breached; False if the API does not respond in time."""
        digits = hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                suffixes = await self._fetch_suffixes(digits[:_PREFIX_LENGTH])
        except Exception as error:
            # Only the type is logged, because some errors quote the request.
            log.warning("breached_passwords_not_checked", error=type(error).__name__)
            return False
        return any(_matches(line, digits[_PREFIX_LENGTH:]) for line in suffixes.splitlines())

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()

    async def _fetch_suffixes(self, prefix: str) -> str:
        reply = await self._client.get(f"{self._url}/{prefix}")
        return reply.raise_for_status().text


def _matches(line: str, suffix: str) -> bool:
    """Returns whether a line `SUFFIX:COUNT` reports this suffix. Padding lines have the count 0."""
    found, _, count = line.strip().partition(":")
    return hmac.compare_digest(found.upper().encode(), suffix.encode()) and count != "0"
