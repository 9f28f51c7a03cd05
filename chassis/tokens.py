"""Verifies access tokens against the signing keys that identity_service publishes.

An invalid or expired token is an error; it is never treated as an anonymous call. A verified token is cached
until it expires, because verifying an ES256 signature takes longer than the rest of a call.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import TypeAlias

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet
from joserfc.util import urlsafe_b64decode

from chassis.background import run_forever
from chassis.calls import Caller
from chassis.claims import ALGORITHM, AUDIENCE, CLOCK_SKEW, ISSUER, LIFETIME, TYPE, caller_from, kid_from
from chassis.errors import ServiceUnavailable, TokenExpired, TokenInvalid, TokenMissing
from chassis.telemetry import get_logger

__all__ = [
    "ALGORITHM",
    "AUDIENCE",
    "CLOCK_SKEW",
    "ISSUER",
    "LIFETIME",
    "TYPE",
    "FetchKeys",
    "Tokens",
    "key_id",
]

KEY_CACHE = timedelta(minutes=5)
"""The key set is fetched again after this time."""
MAX_TOKEN_BYTES = 24 * 1024

# Case-sensitive, because the gateway looks for exactly this prefix.
_SCHEME = "Bearer "
_CACHE_SIZE = 4096
_MIN_FETCH_INTERVAL_SECONDS = 5.0

log = get_logger()

FetchKeys: TypeAlias = Callable[[], Awaitable[Mapping[str, object]]]
"""Returns the current JSON Web Key Set (RFC 7517), parsed."""


def key_id(token: str) -> str:
    """Returns the id of the key that signed a token. Raises ValueError or KeyError if the header is invalid."""
    return kid_from(urlsafe_b64decode(token.partition(".")[0].encode()))


class Tokens:
    """Verifies `authorization` headers."""

    def __init__(self, fetch_keys: FetchKeys) -> None:
        self._fetch = fetch_keys
        self._keys: Mapping[str, Key] | None = None
        """The keys by their id; None until a key set was fetched."""
        self._fetched_at = float("-inf")
        self._fetching = asyncio.Lock()
        self._verified: OrderedDict[str, Caller] = OrderedDict()

    async def caller(self, authorization: str) -> Caller:
        """Returns the caller that an `authorization` header identifies.

        Raises TokenMissing, TokenInvalid or TokenExpired. Raises ServiceUnavailable if no key set was ever
        fetched.
        """
        if not authorization.startswith(_SCHEME):
            raise TokenMissing()
        token = authorization.removeprefix(_SCHEME)
        caller = self._verified.get(token)
        if caller is None:
            caller = await self._verify(token)
            self._cache(token, caller)
        if time.time() >= caller.expires_at + CLOCK_SKEW.total_seconds():
            self._verified.pop(token, None)
            raise TokenExpired()
        return caller

    async def refresh(self) -> None:
        """Fetches the key set now. Raises the exceptions of `fetch_keys`."""
        async with self._fetching:
            await self._load()

    async def keep_fresh(self) -> None:
        """Fetches the key set every KEY_CACHE. Never returns."""
        await run_forever(self._refresh_later, "keys_not_refreshed")

    async def _refresh_later(self) -> None:
        await asyncio.sleep(KEY_CACHE.total_seconds())
        await self.refresh()

    async def _load(self) -> None:
        self._fetched_at = time.monotonic()
        key_set = KeySet.import_key_set(await self._fetch())  # type: ignore[arg-type]
        previous, self._keys = self._keys or {}, {str(key.kid): key for key in key_set.keys}
        # A key that leaked is retired at once. Tokens that it signed must not stay valid in the cache.
        if not previous.keys() <= self._keys.keys():
            self._verified.clear()

    async def _verify(self, token: str) -> Caller:
        if len(token) > MAX_TOKEN_BYTES:
            raise TokenInvalid()
        try:
            verified = jws.deserialize_compact(token, await self._key(key_id(token)), algorithms=[ALGORITHM])
            return caller_from(verified.payload, token)
        # RecursionError: deeply nested JSON is an invalid token, not an internal error.
        except (JoseError, ValueError, KeyError, RecursionError) as error:
            raise TokenInvalid() from error

    async def _key(self, kid: str) -> Key:
        """Returns the key with this id. The key set is fetched again if it does not contain the key.

        Raises KeyError if the key does not exist, ServiceUnavailable if no key set was ever fetched.
        """
        if self._keys is None or kid not in self._keys:
            async with self._fetching:
                await self._refetch_keys(kid)
        if self._keys is None:
            raise ServiceUnavailable()
        return self._keys[kid]

    async def _refetch_keys(self, kid: str) -> None:
        """Fetches the key set, unless another task has just fetched it. The interval limits invalid tokens."""
        is_known = self._keys is not None and kid in self._keys
        if is_known or time.monotonic() - self._fetched_at <= _MIN_FETCH_INTERVAL_SECONDS:
            return
        try:
            await self._load()
        except Exception as error:
            log.warning("keys_not_fetched", error=repr(error))

    def _cache(self, token: str, caller: Caller) -> None:
        self._verified[token] = caller
        if len(self._verified) > _CACHE_SIZE:
            self._verified.popitem(last=False)
