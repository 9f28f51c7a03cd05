"""The keys of one issuer: fetched when they are needed, and kept."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from chassis.errors import ServiceUnavailable
from identity_service.endpoints import https
from identity_service.errors import IdTokenInvalid
from identity_service.sign_in.issuers.settings import TrustedIssuer

KEPT_FOR = 3600.0
"""Seconds after which keys are fetched again, though every token names one that is there."""
PAUSE = 5.0
"""Seconds between two fetches at least: tokens with invented keys must not make us ask any more often."""
MOST_KEYS = 100

Key = RSAKey | ECKey
_KINDS: Mapping[str, Callable[[Any], Key]] = {"RSA": RSAKey.import_key, "EC": ECKey.import_key}

Fetch = Callable[[str], Awaitable[Any]]
"""Returns the JSON behind a URL."""

log = structlog.get_logger()


class Keys:
    """One fetch at a time; the keys that were fetched last hold until others are."""

    def __init__(
        self, trusted: TrustedIssuer, fetch: Fetch, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._trusted = trusted
        self._fetch = fetch
        self._clock = clock
        self._keys: list[Key] = []
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._reached = False
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, kid: object, algorithm: str) -> Key:
        """The key of this id that signs with an algorithm; the only such key, where there is no id.

        Raises IdTokenInvalid where the issuer has none, ServiceUnavailable where it cannot be asked.
        """
        key = self._find(kid, algorithm)
        if key is None or self._clock() - self._fetched_at > KEPT_FOR:
            await self._refresh()
            key = self._find(kid, algorithm)
        if key is not None:
            return key
        if not self._reached:
            raise ServiceUnavailable("The issuer of the ID token cannot be reached now. Try again.")
        raise IdTokenInvalid("KEY_UNKNOWN", "its issuer has no such key")

    async def close(self) -> None:
        """Ends a fetch that is under way."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait({self._fetching})

    def _find(self, kid: object, algorithm: str) -> Key | None:
        fitting = [key for key in self._keys if _signs(key, algorithm) and kid in (None, key.kid)]
        return fitting[0] if fitting and (kid is not None or len(fitting) == 1) else None

    async def _refresh(self) -> None:
        """Waits for the fetch that is under way, or for a new one unless the last was just now."""
        if self._fetching is None:
            if self._clock() - self._tried_at < PAUSE:
                return
            self._tried_at = self._clock()
            self._fetching = asyncio.create_task(self._load())
        # Whoever gives up waiting does not end it for the others.
        await asyncio.wait({self._fetching})

    async def _load(self) -> None:
        try:
            keys = imported(await self._fetch(self._trusted.jwks_uri or await self._discovered()))
        except Exception as error:
            log.warning("issuer_keys_not_fetched", issuer=self._trusted.issuer, error=repr(error))
            self._reached = False
        else:
            self._keys, self._reached, self._fetched_at = keys, True, self._clock()
        finally:
            self._fetching = None

    async def _discovered(self) -> str:
        """Where the keys are, as the issuer says (OpenID Connect Discovery, 4). Raises ValueError."""
        issuer = self._trusted.issuer
        told = await self._fetch(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if not isinstance(told, dict) or told.get("issuer") != issuer:
            raise ValueError("the discovery document is of another issuer")
        uri = https(str(told.get("jwks_uri")))
        if uri.startswith("http://") and not issuer.startswith("http://"):
            raise ValueError("the keys of an issuer elsewhere are not on this machine")
        return uri


def imported(key_set: Any) -> list[Key]:
    """The keys of a JSON Web Key Set that verify signatures. Raises ValueError where there is none.

    Others are left out, symmetric ones above all.
    """
    listed = key_set.get("keys") if isinstance(key_set, Mapping) else None
    keys: list[Key] = []
    for data in listed[:MOST_KEYS] if isinstance(listed, list) else ():
        try:
            if data.get("use", "sig") == "sig" and data["kty"] in _KINDS:
                keys.append(_KINDS[data["kty"]](data))
        except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
            log.warning("issuer_key_not_read", error=repr(error))
    if not keys:
        raise ValueError("there is no key in the key set")
    return keys


def _signs(key: Key, algorithm: str) -> bool:
    kind = "EC" if algorithm.startswith("ES") else "RSA"
    return key.key_type == kind and key.get("alg") in (None, algorithm)
