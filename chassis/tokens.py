"""Access tokens: verified here, against keys that identity_service publishes.

An invalid or expired token is refused, never treated as anonymous. A verified token is
remembered until it expires, for checking an ES256 signature takes longer than a call.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

import structlog
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.util import urlsafe_b64decode

from chassis.calls import Caller
from chassis.claims import ALGORITHM, AUDIENCE, CLOCK_SKEW, ISSUER, LIFETIME, TYPE, caller_from, kid_from
from chassis.errors import ServiceUnavailable, TokenExpired, TokenInvalid, TokenMissing

__all__ = ["ALGORITHM", "AUDIENCE", "CLOCK_SKEW", "ISSUER", "LIFETIME", "TYPE", "FetchKeys", "Tokens"]

KEY_CACHE = timedelta(minutes=5)
MAX_TOKEN_BYTES = 24 * 1024

# Spelled as the gateway looks for it.
_SCHEME = "Bearer "
_REMEMBERED = 4096
_FETCH_PAUSE = 5.0

log = structlog.get_logger()

FetchKeys = Callable[[], Awaitable[Mapping[str, Any]]]
"""Returns the current JSON Web Key Set (RFC 7517), parsed."""


class Tokens:
    """Turns `authorization` headers into callers."""

    def __init__(self, fetch_keys: FetchKeys) -> None:
        self._fetch = fetch_keys
        self._keys: Mapping[str, Any] | None = None
        """By their id; None until a set was fetched."""
        self._fetched_at = float("-inf")
        self._fetching = asyncio.Lock()
        self._verified: OrderedDict[str, Caller] = OrderedDict()

    async def caller(self, authorization: str) -> Caller:
        """Returns who a header names.

        Raises TokenMissing, TokenInvalid, TokenExpired, or ServiceUnavailable when no key
        set was ever fetched.
        """
        if not authorization.startswith(_SCHEME):
            raise TokenMissing()
        token = authorization.removeprefix(_SCHEME)
        known = self._verified.get(token)
        if known is None:
            known = await self._verify(token)
            self._remember(token, known)
        if time.time() >= known.expires_at + CLOCK_SKEW.total_seconds():
            self._verified.pop(token, None)
            raise TokenExpired()
        return known

    async def refresh(self) -> None:
        """Fetches the key set now. Raises what the source raises."""
        async with self._fetching:
            await self._load()

    async def keep_fresh(self) -> None:
        """Fetches the key set again before it grows old, for ever."""
        while True:
            await asyncio.sleep(KEY_CACHE.total_seconds())
            try:
                await self.refresh()
            except Exception as error:
                log.warning("keys_not_refreshed", error=repr(error))

    async def _load(self) -> None:
        self._fetched_at = time.monotonic()
        fetched = KeySet.import_key_set(await self._fetch())  # type: ignore[arg-type]
        self._keys = {str(key.kid): key for key in fetched.keys}

    async def _verify(self, token: str) -> Caller:
        if len(token) > MAX_TOKEN_BYTES:
            raise TokenInvalid()
        try:
            kid = kid_from(urlsafe_b64decode(token.partition(".")[0].encode()))
            verified = jws.deserialize_compact(token, await self._key(kid), algorithms=[ALGORITHM])
            return caller_from(verified.payload, token)
        # However deep an enemy nests it, what cannot be read is no token.
        except (JoseError, ValueError, KeyError, RecursionError) as error:
            raise TokenInvalid() from error

    async def _key(self, kid: str) -> Any:
        """The key of this id; the set is fetched once more where it lacks it.

        Raises KeyError where there is none, ServiceUnavailable where no set was ever fetched.
        """
        if self._keys is None or kid not in self._keys:
            async with self._fetching:
                await self._look_again(kid)
        if self._keys is None:
            raise ServiceUnavailable()
        return self._keys[kid]

    async def _look_again(self, kid: str) -> None:
        known = self._keys is not None and kid in self._keys
        if known or time.monotonic() - self._fetched_at <= _FETCH_PAUSE:
            return
        try:
            await self._load()
        except Exception as error:
            log.warning("keys_not_fetched", error=repr(error))

    def _remember(self, token: str, caller: Caller) -> None:
        self._verified[token] = caller
        if len(self._verified) > _REMEMBERED:
            self._verified.popitem(last=False)
