"""Fetches JSON documents from issuers, with limits on time, size and redirects."""

import asyncio
import json
from typing import Any

TIMEOUT_SECONDS = 5.0
"""Maximum time for a whole response."""
MAX_BYTES = 256 * 1024


class HttpFetcher:
    """An HTTP client that follows no redirects and accepts no compressed responses."""

    def __init__(self) -> None:
        import httpx2

        self._client = httpx2.AsyncClient(
            timeout=TIMEOUT_SECONDS,
            follow_redirects=False,
            headers={"accept": "application/json", "accept-encoding": "identity"},
        )

    async def fetch_json(self, url: str) -> Any:
        """Returns the JSON document of a URL. Raises TimeoutError, httpx2.HTTPError or ValueError."""
        body = bytearray()
        async with asyncio.timeout(TIMEOUT_SECONDS), self._client.stream("GET", url) as response:
            if response.status_code != 200:
                raise ValueError(f"the response has the status {response.status_code}")
            # Raw bytes, so that the limit holds even if the server compresses its response.
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise ValueError(f"the response is larger than {MAX_BYTES} bytes")
        return json.loads(body)

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()
