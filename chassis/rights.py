"""Rights that a token still claims but its person has lost.

Every process follows the account feed in memory; nobody is asked during a call.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

import structlog

from chassis import tokens
from chassis.calls import Caller
from chassis.errors import DomainError, RateLimited, RightsChanged, ServiceUnavailable, TokenExpired
from meno.access.v1.account_feed_service_pb2 import AccountEvent, WatchAccountEventsResponse

REPLAY = tokens.LIFETIME + 2 * tokens.CLOCK_SKEW
"""How far back the feed is replayed: longer than any token that is still valid."""

MAX_STREAMS = 20
"""Streams and uploads of one person that a process holds open."""

_SILENCE = 5.0
_PAUSE = 0.5

log = structlog.get_logger()

Feed: TypeAlias = Callable[[int], AsyncIterator[WatchAccountEventsResponse]]
"""Streams the account feed after a sequence; after 0, as far back as REPLAY."""
Cut: TypeAlias = Callable[[DomainError], None]


class Rights:
    """The lowest rights version that is still accepted of each person."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        """Set once the feed has been replayed; until then the process must not serve."""
        self._minimum: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._sequence = 0
        self._heard_at = float("-inf")
        self._cuts: dict[str, set[Cut]] = {}

    def check(self, caller: Caller) -> None:
        """Passes a caller whose rights stand.

        Raises RightsChanged, or ServiceUnavailable when the feed has been away for so long
        that a loss could have gone unseen.
        """
        if time.monotonic() - self._heard_at > tokens.LIFETIME.total_seconds():
            raise ServiceUnavailable()
        minimum = self._minimum.get(caller.user_id)
        if minimum is not None and caller.rights_version < minimum[0]:
            raise RightsChanged()

    @asynccontextmanager
    async def cutoff(self, caller: Caller | None) -> AsyncIterator[None]:
        """Ends the running task when the caller's token does, when they lose a right, or in a drain.

        The body is cancelled, and TokenExpired, RightsChanged or ServiceUnavailable raised in its
        place. A caller of None is a service, which has neither a token nor rights to lose. Raises
        RateLimited for more than MAX_STREAMS of one person at a time.
        """
        task = asyncio.current_task()
        assert task is not None
        reason: DomainError | None = None

        def cut(error: DomainError) -> None:
            nonlocal reason
            if reason is None:
                reason = error
                task.cancel()

        person = caller.user_id if caller else ""
        cuts = self._cuts.setdefault(person, set())
        if caller and len(cuts) >= MAX_STREAMS:
            raise RateLimited()
        cuts.add(cut)
        timer = _at_end_of_token(caller, cut) if caller else None
        try:
            yield
        except asyncio.CancelledError:
            if reason is None:
                raise
            task.uncancel()
            raise reason from None
        finally:
            if timer:
                timer.cancel()
            cuts.discard(cut)
            if not cuts:
                del self._cuts[person]

    def drain(self) -> None:
        """Cuts every stream that is left, for this process ends."""
        for cut in [cut for cuts in self._cuts.values() for cut in cuts]:
            cut(ServiceUnavailable())

    async def follow(self, feed: Feed) -> None:
        """Follows the feed for ever, and takes it up again wherever it breaks off."""
        while True:
            try:
                await self._follow_once(feed)
            except Exception as error:
                log.warning("account_feed_away", error=repr(error), after_sequence=self._sequence)
            await asyncio.sleep(_PAUSE)

    async def _follow_once(self, feed: Feed) -> None:
        steps = aiter(feed(self._sequence))
        while True:
            async with asyncio.timeout(_SILENCE):
                step = await anext(steps)
            if step.HasField("event"):
                self._apply(step.event)
            elif step.HasField("heartbeat"):
                self._heard_at = time.monotonic()
                self._sequence = max(self._sequence, step.heartbeat.sequence)
                self.ready.set()
            else:
                return

    def _apply(self, event: AccountEvent) -> None:
        self._sequence = event.sequence
        if event.HasField("rights_lost"):
            lost = event.rights_lost
            self._minimum.pop(lost.user_id, None)
            self._minimum[lost.user_id] = (lost.rights_version, time.monotonic())
            for cut in [*self._cuts.get(lost.user_id, ())]:
                cut(RightsChanged())
        self._forget_expired()

    def _forget_expired(self) -> None:
        """Drops what no living token can contradict any more."""
        oldest_needed = time.monotonic() - REPLAY.total_seconds()
        while self._minimum:
            user_id, (_, seen_at) = next(iter(self._minimum.items()))
            if seen_at >= oldest_needed:
                return
            del self._minimum[user_id]


def _at_end_of_token(caller: Caller, cut: Cut) -> asyncio.TimerHandle:
    lifetime = caller.expires_at - time.time()
    return asyncio.get_running_loop().call_later(max(lifetime, 0), cut, TokenExpired())
