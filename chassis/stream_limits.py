"""Limits of the open streams of an address, counted by each process.

The gateway cannot count open streams, so it sends the address of the client.
"""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv6Address, ip_address, ip_network

from chassis import calls
from chassis.calls import Call
from chassis.errors import RateLimited

MAX_PER_ADDRESS = 1000
"""All users of a school can share an address. The gateway permits 4,096 streams to a service."""
MAX_GUESTS_PER_ADDRESS = 100
"""Anyone can become a guest, 60 times a minute from one address."""

_IPV6_NETWORK_BITS = 64
"""A host can use any address of its network."""


class StreamLimits:
    """The open streams of one process."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, bool]] = Counter()

    @asynccontextmanager
    async def hold(self, call: Call) -> AsyncIterator[None]:
        """Counts a stream during the body. Raises RateLimited if its address has too many."""
        network = _network(calls.client_address())
        is_guest = call.caller is not None and call.caller.guest
        if not network:
            yield
            return
        # Guests do not use up the streams of others.
        key = (network, is_guest)
        if self._counts[key] >= (MAX_GUESTS_PER_ADDRESS if is_guest else MAX_PER_ADDRESS):
            raise RateLimited()
        self._counts[key] += 1
        try:
            yield
        finally:
            self._counts[key] -= 1
            if not self._counts[key]:
                del self._counts[key]


def _network(address: str) -> str:
    """Returns the IPv4 address or the IPv6 network of the client, or an empty text if it is unknown."""
    try:
        ip = ip_address(address)
    except ValueError:
        return ""
    if isinstance(ip, IPv6Address) and not ip.ipv4_mapped:
        return str(ip_network((ip, _IPV6_NETWORK_BITS), strict=False))
    return str(ip)
