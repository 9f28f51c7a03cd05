"""Limits of the open streams of an address and of a guest, counted by each process.

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
MAX_PER_GUEST = 5

_IPV6_NETWORK_BITS = 64
"""A host can use any address of its network."""


class StreamLimits:
    """The open streams of one process."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    @asynccontextmanager
    async def hold(self, call: Call) -> AsyncIterator[None]:
        """Counts a stream during the body. Raises RateLimited if a limit is reached."""
        limits = _limits(call)
        if any(self._counts[key] >= maximum for key, maximum in limits.items()):
            raise RateLimited()
        self._counts.update(limits.keys())
        try:
            yield
        finally:
            for key in limits:
                self._counts[key] -= 1
                if not self._counts[key]:
                    del self._counts[key]


def _limits(call: Call) -> dict[str, int]:
    """Returns the maximum of each counter of a stream. Guests do not use up the streams of others."""
    is_guest = call.caller is not None and call.caller.guest
    limits: dict[str, int] = {}
    if call.caller and is_guest:
        limits[call.caller.user_id] = MAX_PER_GUEST
    if network := _network(calls.client_address()):
        limits[f"{network} {is_guest}"] = MAX_GUESTS_PER_ADDRESS if is_guest else MAX_PER_ADDRESS
    return limits


def _network(address: str) -> str:
    """Returns the IPv4 address or the IPv6 network of the client, or an empty text if it is unknown."""
    try:
        ip = ip_address(address)
    except ValueError:
        return ""
    if isinstance(ip, IPv6Address) and not ip.ipv4_mapped:
        return str(ip_network((ip, _IPV6_NETWORK_BITS), strict=False))
    return str(ip)
