"""Revocation: access tokens that are not yet expired and no longer valid.

Every process follows the account feed in memory. No call asks another service.
"""

import asyncio
import sys
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple, TypeAlias

from chassis import tokens
from chassis.background import RETRY_DELAY_SECONDS, run_forever
from chassis.calls import Caller
from chassis.errors import DomainError, RateLimited, ServiceUnavailable, TokenExpired, TokenRevoked
from chassis.telemetry import get_logger
from meno.access.v1.access_pb2 import ClassState
from meno.access.v1.account_feed_service_pb2 import WatchAccountEventsResponse
from meno.access.v1.resources_pb2 import AccountEvent

REPLAY_WINDOW = tokens.LIFETIME + 2 * tokens.CLOCK_SKEW
"""The age of the oldest event that is replayed: longer than the lifetime of any valid token."""

MAX_STREAMS = 20
"""Open streams and uploads of one user in one process."""

_REVOKE_ALL_VERSIONS = sys.maxsize
"""A minimum rights version above every version that a token contains."""

# identity_service sends a heartbeat every second; five missed ones mean that the connection is dead.
_READ_TIMEOUT_SECONDS = 5.0

log = get_logger()


class Position(NamedTuple):
    """A position in the account feed. Sequences of different epochs are not comparable."""

    epoch: str = ""
    sequence: int = 0


Feed: TypeAlias = Callable[[Position], AsyncIterator[WatchAccountEventsResponse]]
"""Streams the account feed after a position; without a position, from REPLAY_WINDOW ago."""
CancelCallback: TypeAlias = Callable[[DomainError], None]


class RevocationList:
    """The revocations of the last REPLAY_WINDOW, and the streams that they cancel."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        """Set after the feed is replayed. Until then the process must not serve."""
        self._minimum_versions = _ExpiringMap()
        """User id to the lowest rights version that is still accepted."""
        self._ended_sign_ins = _ExpiringMap()
        self._inactive_classes = _ExpiringMap()
        """Classes that are archived, deleted or purged."""
        self._deleted_classes = _ExpiringMap()
        """Classes that are deleted or purged."""
        self._retired_keys: set[str] = set()
        """Signing keys that leaked. They are never forgotten, because new tokens can be forged with them. A key
        set that is fetched from a replica with old keys may contain them again."""
        self._position = Position()
        self._last_heartbeat = float("-inf")
        self._streams: dict[str, dict[CancelCallback, Caller | None]] = {}

    def check(self, caller: Caller) -> None:
        """Checks that the token of a caller is not revoked.

        Raises TokenRevoked. Raises ServiceUnavailable if the feed has been unavailable for longer than a
        token lifetime, because a revocation may have been missed.
        """
        if time.monotonic() - self._last_heartbeat > tokens.LIFETIME.total_seconds():
            raise ServiceUnavailable()
        if self._is_revoked(caller):
            raise TokenRevoked()

    @asynccontextmanager
    async def cancel_on_revocation(self, caller: Caller | None) -> AsyncIterator[None]:
        """Cancels the body when the caller's token expires or is revoked, or when the process drains.

        A caller of None is a service: it has no token, and only a drain cancels its streams.

        Raises TokenExpired, TokenRevoked or ServiceUnavailable in place of the cancellation, and
        RateLimited if the user has MAX_STREAMS open streams.
        """
        task = asyncio.current_task()
        assert task is not None
        reason: DomainError | None = None

        def cancel(error: DomainError) -> None:
            nonlocal reason
            if reason is None:
                reason = error
                task.cancel()

        user_id = caller.user_id if caller else ""
        streams = self._streams.setdefault(user_id, {})
        if caller and len(streams) >= MAX_STREAMS:
            raise RateLimited()
        streams[cancel] = caller
        timer = _cancel_at_expiry(caller, cancel) if caller else None
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
            del streams[cancel]
            if not streams:
                del self._streams[user_id]

    def drain(self) -> None:
        """Cancels every open stream, because the process is about to end."""
        for cancel in [cancel for streams in self._streams.values() for cancel in streams]:
            cancel(ServiceUnavailable())

    async def follow(self, feed: Feed) -> None:
        """Follows the feed and reconnects whenever it breaks off. Never returns."""
        await run_forever(
            partial(self._follow_once, feed), "account_feed_unavailable", interval=RETRY_DELAY_SECONDS
        )

    async def _follow_once(self, feed: Feed) -> None:
        steps = aiter(feed(self._position))
        epoch = ""
        while True:
            async with asyncio.timeout(_READ_TIMEOUT_SECONDS):
                step = await anext(steps)
            if step.HasField("epoch"):
                epoch = step.epoch
                if epoch != self._position.epoch:
                    self._forget_epoch()
            elif step.HasField("event"):
                self._position = Position(epoch, step.event.sequence)
                self._apply(step.event)
            elif step.HasField("heartbeat"):
                self._last_heartbeat = time.monotonic()
                self._position = Position(epoch, step.heartbeat.sequence)
                self.ready.set()
            else:
                return

    def _forget_epoch(self) -> None:
        """Forgets the revocations of the previous epoch, because they did not happen in the new one.

        Retired keys are kept, because the id of a key is unique in all epochs.
        """
        for revoked in (
            self._minimum_versions,
            self._ended_sign_ins,
            self._inactive_classes,
            self._deleted_classes,
        ):
            revoked.clear()

    def _apply(self, event: AccountEvent) -> None:
        match event.WhichOneof("kind"):
            case "rights_lost":
                lost = event.rights_lost
                self._minimum_versions.set(lost.user_id, lost.rights_version)
                self._cancel_revoked(self._streams.get(lost.user_id, {}))
            case "user_erased" | "user_merged" as kind:
                user_id = getattr(event, kind).user_id
                self._minimum_versions.set(user_id, _REVOKE_ALL_VERSIONS)
                self._cancel_revoked(self._streams.get(user_id, {}))
            case "sign_in_ended":
                self._ended_sign_ins.set(event.sign_in_ended.sign_in_id)
                self._cancel_revoked(self._streams.get(event.sign_in_ended.user_id, {}))
            case "class_changed":
                self._set_class_state(event.class_changed.class_id, event.class_changed.state)
            case "signing_key_retired":
                self._retired_keys.add(event.signing_key_retired.kid)
                self._cancel_all_revoked()

    def _set_class_state(self, class_id: str, state: ClassState.ValueType) -> None:
        for revoked, applies in (
            (self._inactive_classes, state != ClassState.CLASS_STATE_ACTIVE),
            (self._deleted_classes, state in (ClassState.CLASS_STATE_DELETED, ClassState.CLASS_STATE_PURGED)),
        ):
            if applies:
                revoked.set(class_id)
            else:
                revoked.remove(class_id)
        self._cancel_all_revoked()

    def _cancel_all_revoked(self) -> None:
        for streams in [*self._streams.values()]:
            self._cancel_revoked(streams)

    def _cancel_revoked(self, streams: dict[CancelCallback, Caller | None]) -> None:
        """Cancels the streams whose caller's token is revoked."""
        for cancel, caller in [*streams.items()]:
            if caller is not None and self._is_revoked(caller):
                cancel(TokenRevoked())

    def _is_revoked(self, caller: Caller) -> bool:
        return (
            caller.rights_version < self._minimum_versions.get(caller.user_id)
            or caller.sign_in_id in self._ended_sign_ins
            or self._inactive_classes.has_any(caller.classes)
            or self._deleted_classes.has_any(caller.archived)
            or (bool(self._retired_keys) and tokens.key_id(caller.token) in self._retired_keys)
        )


class _ExpiringMap:
    """Maps keys to numbers. An entry expires after REPLAY_WINDOW, when no valid token contains its key."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def set(self, key: str, number: int = 0) -> None:
        self._entries.pop(key, None)
        self._entries[key] = (number, time.monotonic())
        self._remove_expired()

    def remove(self, key: str) -> None:
        self._entries.pop(key, None)

    def clear(self) -> None:
        self._entries.clear()

    def get(self, key: str) -> int:
        """Returns the number of a key, or 0 if the key is absent."""
        entry = self._entries.get(key)
        return entry[0] if entry else 0

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def has_any(self, keys: dict[str, str]) -> bool:
        return bool(self._entries) and not self._entries.keys().isdisjoint(keys)

    def _remove_expired(self) -> None:
        oldest = time.monotonic() - REPLAY_WINDOW.total_seconds()
        while self._entries:
            key, (_, set_at) = next(iter(self._entries.items()))
            if set_at >= oldest:
                return
            del self._entries[key]


def _cancel_at_expiry(caller: Caller, cancel: CancelCallback) -> asyncio.TimerHandle:
    lifetime = caller.expires_at - time.time()
    return asyncio.get_running_loop().call_later(max(lifetime, 0), cancel, TokenExpired())
