"""Fetches and caches the keys of an issuer."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from chassis.errors import ServiceUnavailable
from chassis.telemetry import get_logger
from identity_service.endpoints import require_https
from identity_service.errors import IdTokenInvalid
from identity_service.trusted_issuers import TrustedIssuer

MAX_AGE_SECONDS = 3600.0
"""Age after which keys are fetched again, even if they contain the key of a token."""
MIN_FETCH_INTERVAL_SECONDS = 5.0
"""Minimum time between two fetches, so that tokens with invented keys cannot cause more requests."""
MAX_KEYS = 100

Key = RSAKey | ECKey
_IMPORTERS: Mapping[str, Callable[[Any], Key]] = {"RSA": RSAKey.import_key, "EC": ECKey.import_key}

Fetch = Callable[[str], Awaitable[Any]]
"""Returns the JSON document of a URL."""

log = get_logger()


class IssuerKeys:
    """The keys of one issuer. Only one fetch runs at a time. If a fetch fails, the previous keys stay valid."""

    def __init__(
        self, trusted: TrustedIssuer, fetch: Fetch, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._trusted = trusted
        self._fetch = fetch
        self._clock = clock
        self._keys: list[Key] = []
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._reachable = False
        self._fetching: asyncio.Task[None] | None = None

    async def get(self, kid: object, algorithm: str) -> Key:
        """Returns the key with this id for an algorithm; without an id, the only key for the algorithm.

        Raises IdTokenInvalid if the issuer has no such key, or ServiceUnavailable if it is unreachable.
        """
        key = self._find(kid, algorithm)
        if key is None or self._clock() - self._fetched_at > MAX_AGE_SECONDS:
            await self._refresh()
            key = self._find(kid, algorithm)
        if key is not None:
            return key
        if not self._reachable:
            raise ServiceUnavailable("The issuer of the ID token is unreachable. Try again later.")
        raise IdTokenInvalid("KEY_UNKNOWN", "the issuer has no key with its key id")

    async def close(self) -> None:
        """Cancels a running fetch."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait({self._fetching})

    def _find(self, kid: object, algorithm: str) -> Key | None:
        matches = [key for key in self._keys if _supports(key, algorithm) and kid in (None, key.kid)]
        return matches[0] if matches and (kid is not None or len(matches) == 1) else None

    async def _refresh(self) -> None:
        """Waits for the running fetch, or for a new one unless the last one was too recent."""
        if self._fetching is None:
            if self._clock() - self._tried_at < MIN_FETCH_INTERVAL_SECONDS:
                return
            self._tried_at = self._clock()
            self._fetching = asyncio.create_task(self._load())
        # asyncio.wait, so that a cancelled caller does not cancel the fetch of the others.
        await asyncio.wait({self._fetching})

    async def _load(self) -> None:
        try:
            url = self._trusted.jwks_uri or await self._discover_jwks_uri()
            keys = parse_key_set(await self._fetch(url))
        except Exception as error:
            log.warning("issuer_keys_not_fetched", issuer=self._trusted.issuer, error=repr(error))
            self._reachable = False
        else:
            self._keys, self._reachable, self._fetched_at = keys, True, self._clock()
        finally:
            self._fetching = None

    async def _discover_jwks_uri(self) -> str:
        """Returns the URL of the keys (OpenID Connect Discovery 1.0, section 4). Raises ValueError."""
        issuer = self._trusted.issuer
        document = await self._fetch(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if not isinstance(document, dict) or document.get("issuer") != issuer:
            raise ValueError("the discovery document belongs to another issuer")
        uri = require_https(str(document.get("jwks_uri")))
        if uri.startswith("http://") and not issuer.startswith("http://"):
            raise ValueError("the jwks_uri of a remote issuer must not be a local URL")
        return uri


def parse_key_set(key_set: Any) -> list[Key]:
    """Returns the keys of a JSON Web Key Set that verify signatures. Raises ValueError if there is none.

    All other keys are skipped. Symmetric keys must be, because a verifier could sign with them.
    """
    listed = key_set.get("keys") if isinstance(key_set, Mapping) else None
    keys: list[Key] = []
    for data in listed[:MAX_KEYS] if isinstance(listed, list) else ():
        try:
            if data.get("use", "sig") == "sig" and data["kty"] in _IMPORTERS:
                keys.append(_IMPORTERS[data["kty"]](data))
        except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
            log.warning("issuer_key_not_read", error=repr(error))
    if not keys:
        raise ValueError("the key set contains no usable key")
    return keys


def _supports(key: Key, algorithm: str) -> bool:
    kind = "EC" if algorithm.startswith("ES") else "RSA"
    return key.key_type == kind and key.get("alg") in (None, algorithm)
