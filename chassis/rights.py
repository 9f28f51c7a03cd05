"""Rights that a token still claims but its person has lost.

Every process follows the account feed in memory; nobody is asked during a call.
"""

import asyncio
import sys
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple, TypeAlias

import structlog

from chassis import tokens
from chassis.calls import Caller
from chassis.errors import DomainError, RateLimited, RightsChanged, ServiceUnavailable, TokenExpired
from meno.access.v1.access_pb2 import ClassState
from meno.access.v1.account_feed_service_pb2 import AccountEvent, WatchAccountEventsResponse

REPLAY = tokens.LIFETIME + 2 * tokens.CLOCK_SKEW
"""How far back the feed is replayed: longer than any token that is still valid."""

MAX_STREAMS = 20
"""Streams and uploads of one person that a process holds open."""

_NO_TOKEN_HOLDS = sys.maxsize
"""A rights version that nobody reaches."""
_SILENCE = 5.0
_PAUSE = 0.5

log = structlog.get_logger()


class Position(NamedTuple):
    """How far somebody has followed the feed. Sequences of two epochs cannot be compared."""

    epoch: str = ""
    sequence: int = 0


Feed: TypeAlias = Callable[[Position], AsyncIterator[WatchAccountEventsResponse]]
"""Streams the account feed after a position; from the beginning, as far back as REPLAY."""
Cut: TypeAlias = Callable[[DomainError], None]


class Rights:
    """What tokens may claim no more, for as long as one that claims it may be valid."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        """Set once the feed has been replayed; until then the process must not serve."""
        self._minimum = _Withdrawn()
        """Person to the lowest rights version that is still accepted."""
        self._ended = _Withdrawn()
        """Sign-ins."""
        self._closed = _Withdrawn()
        """Classes that are not in use."""
        self._gone = _Withdrawn()
        """Those among them that nobody sees any more."""
        self._position = Position()
        self._heard_at = float("-inf")
        self._cuts: dict[str, dict[Cut, Caller | None]] = {}

    def check(self, caller: Caller) -> None:
        """Passes a caller whose rights stand.

        Raises RightsChanged, or ServiceUnavailable when the feed has been away for so long
        that a loss could have gone unseen.
        """
        if time.monotonic() - self._heard_at > tokens.LIFETIME.total_seconds():
            raise ServiceUnavailable()
        if self._has_lost(caller):
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
        cuts = self._cuts.setdefault(person, {})
        if caller and len(cuts) >= MAX_STREAMS:
            raise RateLimited()
        cuts[cut] = caller
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
            del cuts[cut]
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
                log.warning("account_feed_away", error=repr(error), after=self._position.sequence)
            await asyncio.sleep(_PAUSE)

    async def _follow_once(self, feed: Feed) -> None:
        steps = aiter(feed(self._position))
        while True:
            async with asyncio.timeout(_SILENCE):
                step = await anext(steps)
            if step.HasField("epoch"):
                if step.epoch != self._position.epoch:
                    self._begin(step.epoch)
            elif step.HasField("event"):
                self._position = self._position._replace(sequence=step.event.sequence)
                self._apply(step.event)
            elif step.HasField("heartbeat"):
                self._heard_at = time.monotonic()
                sequence = max(self._position.sequence, step.heartbeat.sequence)
                self._position = self._position._replace(sequence=sequence)
                self.ready.set()
            else:
                return

    def _begin(self, epoch: str) -> None:
        """What was withdrawn in another epoch has never happened in this one."""
        self._position = Position(epoch)
        for withdrawn in (self._minimum, self._ended, self._closed, self._gone):
            withdrawn.clear()

    def _apply(self, event: AccountEvent) -> None:
        match event.WhichOneof("kind"):
            case "rights_lost":
                lost = event.rights_lost
                self._minimum.put(lost.user_id, lost.rights_version)
                self._cut(self._cuts.get(lost.user_id, {}))
            case "user_erased" | "user_merged" as ending:
                gone = getattr(event, ending).user_id
                self._minimum.put(gone, _NO_TOKEN_HOLDS)
                self._cut(self._cuts.get(gone, {}))
            case "sign_in_ended":
                self._ended.put(event.sign_in_ended.sign_in_id)
                self._cut(self._cuts.get(event.sign_in_ended.user_id, {}))
            case "class_changed":
                self._change_class(event.class_changed.class_id, event.class_changed.state)

    def _change_class(self, class_id: str, state: ClassState.ValueType) -> None:
        for withdrawn, holds in (
            (self._closed, state != ClassState.CLASS_STATE_ACTIVE),
            (self._gone, state in (ClassState.CLASS_STATE_DELETED, ClassState.CLASS_STATE_PURGED)),
        ):
            if holds:
                withdrawn.put(class_id)
            else:
                withdrawn.take_back(class_id)
        for cuts in [*self._cuts.values()]:
            self._cut(cuts)

    def _cut(self, cuts: dict[Cut, Caller | None]) -> None:
        """Ends those streams whose caller has lost what they claim."""
        for cut, caller in [*cuts.items()]:
            if caller is not None and self._has_lost(caller):
                cut(RightsChanged())

    def _has_lost(self, caller: Caller) -> bool:
        return (
            caller.rights_version < self._minimum.get(caller.user_id)
            or caller.sign_in_id in self._ended
            or self._closed.has_any(caller.classes)
            or self._gone.has_any(caller.archived)
        )


class _Withdrawn:
    """Keys that were withdrawn, each with a number, until no living token can have them any more."""

    def __init__(self) -> None:
        self._of: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def put(self, key: str, number: int = 0) -> None:
        self._of.pop(key, None)
        self._of[key] = (number, time.monotonic())
        self._forget_expired()

    def take_back(self, key: str) -> None:
        self._of.pop(key, None)

    def clear(self) -> None:
        self._of.clear()

    def get(self, key: str) -> int:
        """The number of a key; 0 of one that was not withdrawn."""
        found = self._of.get(key)
        return found[0] if found else 0

    def __contains__(self, key: str) -> bool:
        return key in self._of

    def has_any(self, keys: dict[str, str]) -> bool:
        return bool(self._of) and not self._of.keys().isdisjoint(keys)

    def _forget_expired(self) -> None:
        oldest_needed = time.monotonic() - REPLAY.total_seconds()
        while self._of:
            key, (_, seen_at) = next(iter(self._of.items()))
            if seen_at >= oldest_needed:
                return
            del self._of[key]


def _at_end_of_token(caller: Caller, cut: Cut) -> asyncio.TimerHandle:
    lifetime = caller.expires_at - time.time()
    return asyncio.get_running_loop().call_later(max(lifetime, 0), cut, TokenExpired())
