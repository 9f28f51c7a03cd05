"""An HTTP transport that connects only to public addresses and to allow-listed hosts (prevents SSRF).

Importing this module imports the HTTP client. Import it only where a request is sent.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2

from chassis import url_policy
from chassis.url_policy import Endpoint


class PrivateAddressError(httpx2.ConnectError):
    """The host name resolves to a private address."""


class NameResolutionError(httpx2.ConnectError):
    """The host name cannot be resolved."""


class PublicAddressTransport(httpx2.AsyncBaseTransport):
    """Resolves a host, checks all of its addresses, and connects to exactly these addresses.

    The result of a resolution therefore cannot change between check and connection (DNS rebinding). No proxy
    is used, because a proxy would resolve the host again. The caller must check the URL with `url_policy.check`
    and must not follow redirects.
    """

    def __init__(self, private_hosts: frozenset[str]) -> None:
        """`private_hosts` are allow-listed, whatever their addresses are."""
        self._private_hosts = private_hosts
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=20)
        self._inner = httpx2.AsyncHTTPTransport(limits=limits)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Sends a request.

        Raises PrivateAddressError or NameResolutionError, and the exceptions of the HTTP client.
        """
        url = request.url
        endpoint = Endpoint(url.scheme, url.host, url.port or url_policy.PORTS[url.scheme])
        connect_timeout = request.extensions.get("timeout", {}).get("connect")
        *others, last = await self._resolve(endpoint, connect_timeout)
        for address in others:
            try:
                return await self._send(request, endpoint, address)
            except httpx2.ConnectError:
                continue
        return await self._send(request, endpoint, last)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._inner.aclose()

    async def _resolve(self, endpoint: Endpoint, timeout_seconds: float | None) -> list[str]:
        async with _resolution_errors(timeout_seconds):
            loop = asyncio.get_running_loop()
            results = await loop.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
        addresses = [*dict.fromkeys(str(address[0]) for *_, address in results)]
        if not url_policy.is_allowlisted(endpoint, self._private_hosts) and not all(
            map(url_policy.is_global, addresses)
        ):
            raise PrivateAddressError(f"{endpoint.host} resolves to a private address")
        return addresses

    async def _send(self, request: httpx2.Request, endpoint: Endpoint, address: str) -> httpx2.Response:
        addressed = httpx2.Request(
            request.method,
            request.url.copy_with(host=address),
            headers=request.headers,
            stream=request.stream,
            # The certificate must still contain the host name.
            extensions={**request.extensions, "sni_hostname": endpoint.host},
        )
        return await self._inner.handle_async_request(addressed)


@asynccontextmanager
async def _resolution_errors(timeout_seconds: float | None) -> AsyncIterator[None]:
    """Converts the exceptions of a resolution to exceptions of the HTTP client."""
    try:
        async with asyncio.timeout(timeout_seconds):
            yield
    except TimeoutError as error:
        raise httpx2.ConnectTimeout("the host name was not resolved in time") from error
    except (OSError, UnicodeError) as error:
        raise NameResolutionError("the host name cannot be resolved") from error
