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
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import extract_compact

from chassis.calls import Caller
from chassis.errors import ServiceUnavailable, TokenExpired, TokenInvalid, TokenMissing

ISSUER = "meno"
AUDIENCE = "meno"
LIFETIME = timedelta(minutes=5)
CLOCK_SKEW = timedelta(seconds=10)
KEY_CACHE = timedelta(minutes=5)
MAX_TOKEN_BYTES = 24 * 1024
ALGORITHM = "ES256"
TYPE = "at+jwt"
"""RFC 9068: of an access token, and of nothing else that the same keys may sign."""

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
        self._keys: KeySet | None = None
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
        keys = KeySet.import_key_set(await self._fetch())  # type: ignore[arg-type]
        self._keys = keys

    async def _verify(self, token: str) -> Caller:
        if len(token) > MAX_TOKEN_BYTES:
            raise TokenInvalid()
        try:
            keys = await self._keys_for(token)
            decoded = jwt.decode(token, keys, algorithms=[ALGORITHM])
            if decoded.header.get("typ") != TYPE:
                raise ValueError("a token for another purpose")
            return caller_from(decoded.claims, token)
        except (JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise TokenInvalid() from error

    async def _keys_for(self, token: str) -> KeySet:
        """The key set, fetched once more where the token names a key that it lacks."""
        kid = extract_compact(token.encode()).headers().get("kid")
        async with self._fetching:
            missing = self._keys is None or all(key.kid != kid for key in self._keys.keys)
            if missing and time.monotonic() - self._fetched_at > _FETCH_PAUSE:
                try:
                    await self._load()
                except Exception as error:
                    log.warning("keys_not_fetched", error=repr(error))
        if self._keys is None:
            raise ServiceUnavailable()
        return self._keys

    def _remember(self, token: str, caller: Caller) -> None:
        self._verified[token] = caller
        if len(self._verified) > _REMEMBERED:
            self._verified.popitem(last=False)


def caller_from(claims: Mapping[str, Any], token: str) -> Caller:
    """The caller that verified claims describe. Raises ValueError, KeyError, TypeError or AttributeError."""
    if claims["iss"] != ISSUER or claims["aud"] != AUDIENCE:
        raise ValueError("the token was not issued for this installation")
    if not isinstance(claims["exp"], int | float) or not claims["sub"]:
        raise ValueError("the token lacks a subject or an end")
    return Caller(
        user_id=str(claims["sub"]),
        role=str(claims["role"]),
        classes=_roles(claims["classes"]),
        archived=_roles(claims.get("archived", {})),
        sign_in_id=str(claims["sid"]),
        rights_version=int(claims["rv"]),
        expires_at=float(claims["exp"]),
        guest=bool(claims.get("guest", False)),
        token=token,
    )


def _roles(claim: Mapping[str, str]) -> dict[str, str]:
    return {str(class_id): str(role) for class_id, role in claim.items()}
