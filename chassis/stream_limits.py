"""Limits of the open streams of an address, counted by each process.

The gateway cannot count open streams, so it sends the address of the client.
"""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chassis import calls
from chassis.calls import Call
from chassis.errors import RateLimited
from chassis.networks import network_of

MAX_PER_ADDRESS = 1000
"""All users of a school can share an address. The gateway permits 4,096 streams to a service."""
MAX_GUESTS_PER_ADDRESS = 100
"""Anyone can become a guest, 60 times a minute from one address."""


class StreamLimits:
    """The open streams of one process."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, bool]] = Counter()

    @asynccontextmanager
    async def hold(self, call: Call) -> AsyncIterator[None]:
        """Counts a stream during the body. Raises RateLimited if its address has too many."""
        network = network_of(calls.client_address())
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
