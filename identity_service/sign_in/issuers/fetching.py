"""Fetches what issuers publish: little, soon, and from nowhere but where it was asked."""

import asyncio
import json
from typing import Any

TIMEOUT = 5.0
"""Seconds for a whole answer."""
MAX_BYTES = 256 * 1024


class Web:
    """An HTTP client that follows no redirects, and unpacks nothing."""

    def __init__(self) -> None:
        import httpx2

        self._client = httpx2.AsyncClient(
            timeout=TIMEOUT,
            follow_redirects=False,
            headers={"accept": "application/json", "accept-encoding": "identity"},
        )

    async def json(self, url: str) -> Any:
        """The JSON behind a URL. Raises TimeoutError, httpx2.HTTPError or ValueError."""
        body = bytearray()
        async with asyncio.timeout(TIMEOUT), self._client.stream("GET", url) as response:
            if response.status_code != 200:
                raise ValueError(f"the status is {response.status_code}")
            async for piece in response.aiter_raw():
                body += piece
                if len(body) > MAX_BYTES:
                    raise ValueError("the answer is too long")
        return json.loads(body)

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()
