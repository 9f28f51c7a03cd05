"""The way out to a model: only to addresses that were judged, and straight to them.

Importing it imports the HTTP client: it is imported where the way is gone.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2

from chassis import url_policy
from chassis.url_policy import Endpoint


class PrivateAddressError(httpx2.ConnectError):
    """The host's name leads to an address inside of the house."""


class NameResolutionError(httpx2.ConnectError):
    """Nobody knows the host's name."""


class PublicAddressTransport(httpx2.AsyncBaseTransport):
    """Looks a host up, judges all of its addresses, and connects to these and no others.

    What a name means cannot change between judgement and connection. It goes through no proxy, which
    would look the host up anew. Whoever uses it has checked what is written, and follows no redirects.
    """

    def __init__(self, private_hosts: frozenset[str]) -> None:
        """`private_hosts` are those that may be anywhere."""
        self._private_hosts = private_hosts
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=20)
        self._inner = httpx2.AsyncHTTPTransport(limits=limits)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Sends a request. Raises PrivateAddressError or NameResolutionError, or what the client raises by itself."""
        url = request.url
        place = Endpoint(url.scheme, url.host, url.port or url_policy.PORTS[url.scheme])
        *others, last = await self._addresses(place, request.extensions.get("timeout", {}).get("connect"))
        for address in others:
            try:
                return await self._send(request, place, address)
            except httpx2.ConnectError:
                continue
        return await self._send(request, place, last)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._inner.aclose()

    async def _addresses(self, place: Endpoint, seconds: float | None) -> list[str]:
        async with _looking_up(seconds):
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
        known = [*dict.fromkeys(str(address[0]) for *_, address in found)]
        if not url_policy.is_allowlisted(place, self._private_hosts) and not all(
            map(url_policy.is_global, known)
        ):
            raise PrivateAddressError(f"{place.host} leads into the house")
        return known

    async def _send(self, request: httpx2.Request, place: Endpoint, address: str) -> httpx2.Response:
        straight = httpx2.Request(
            request.method,
            request.url.copy_with(host=address),
            headers=request.headers,
            stream=request.stream,
            # The certificate is still that of the name.
            extensions={**request.extensions, "sni_hostname": place.host},
        )
        return await self._inner.handle_async_request(straight)


@asynccontextmanager
async def _looking_up(seconds: float | None) -> AsyncIterator[None]:
    """Turns what a look-up raises into what the client raises."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise httpx2.ConnectTimeout("the name was not looked up in time") from error
    except (OSError, UnicodeError) as error:
        raise NameResolutionError("the name is not known") from error
