"""Limits the failed attempts of one network at all names together.

The counts are in the memory of the process, like those of the gateway, because many names are tried in a short
time or not at all.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from identity_service.errors import SignInRateLimited

WINDOW = timedelta(hours=1)
_MAX_NETWORKS = 20_000
"""The number of networks with a count. Beyond it, the least recently used ones are dropped."""


@dataclass
class _Count:
    started_at: float
    failures: int = 0


class NetworkLimit:
    """Counts failed and running attempts by network, in windows of an hour."""

    def __init__(self, max_failures: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_failures = max_failures
        self._clock = clock
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    def check(self, network: str) -> None:
        """Raises SignInRateLimited if the network has reached the limit."""
        count = self._current(network)
        if count.failures >= self._max_failures:
            raise SignInRateLimited(WINDOW - timedelta(seconds=self._clock() - count.started_at))

    def count_attempt(self, network: str) -> None:
        """Counts an attempt as a failure, before its proof is verified."""
        self._current(network).failures += 1

    def uncount_attempt(self, network: str) -> None:
        """Takes one attempt back after it succeeded."""
        count = self._current(network)
        count.failures = max(count.failures - 1, 0)

    def _current(self, network: str) -> _Count:
        count = self._counts.pop(network, None)
        if count is None or self._clock() - count.started_at >= WINDOW.total_seconds():
            count = _Count(self._clock())
        self._counts[network] = count
        if len(self._counts) > _MAX_NETWORKS:
            self._counts.popitem(last=False)
        return count
