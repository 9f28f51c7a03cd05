"""ID tokens, verified against the keys of the issuers that the installation trusts."""

import json
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jws import extract_compact

from identity_service.errors import IdTokenInvalid
from identity_service.sign_in.credentials.proofs import Proof
from identity_service.sign_in.issuers import rules
from identity_service.sign_in.issuers.fetching import Web
from identity_service.sign_in.issuers.keys import Key, Keys
from identity_service.sign_in.issuers.settings import TrustedIssuer

# What raises on bytes that are no token, however they are not.
_UNREADABLE = (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError)


class _Said(NamedTuple):
    """What a token says of itself, of which nothing is true yet."""

    header: dict[str, Any]
    issuer: object


class Issuers:
    """The issuers that are trusted. Where there is none, nothing is imported and nobody asked."""

    def __init__(self, trusted: Sequence[TrustedIssuer]) -> None:
        self._web = Web() if trusted else None
        self._trusted = {one.issuer: one for one in trusted}
        self._keys = {one.issuer: Keys(one, self._web.json) for one in trusted if self._web}

    async def verify(self, text: str, nonce: str) -> Proof:
        """What an ID token proves; with a nonce, only if the token has it.

        Raises IdTokenInvalid, or ServiceUnavailable where its issuer cannot be asked for its keys.
        """
        said = _said(text)
        trusted = self._trusted.get(said.issuer) if isinstance(said.issuer, str) else None
        if trusted is None:
            raise IdTokenInvalid("ISSUER_UNKNOWN", "its issuer is not trusted here")
        algorithm = said.header.get("alg")
        if algorithm not in trusted.algorithms:
            raise IdTokenInvalid("ALGORITHM", "it is signed in another way than its issuer does")
        # Where the header says that keys are elsewhere (jwk, jku, x5u), nobody looks.
        key = await self._keys[trusted.issuer].find(said.header.get("kid"), algorithm)
        return rules.check(_signed(text, key, algorithm), trusted, nonce, time.time())

    async def close(self) -> None:
        """Ends what is under way."""
        for keys in self._keys.values():
            await keys.close()
        if self._web is not None:
            await self._web.close()


def _said(text: str) -> _Said:
    try:
        compact = extract_compact(text.encode())
        header, claims = compact.headers(), json.loads(compact.payload)
        typ = header.get("typ", "JWT")
        # An access token or a logout token of the same issuer is signed by the same keys (RFC 8725, 3.11).
        if typ.upper() != "JWT":
            raise IdTokenInvalid("MALFORMED", "it is a token for another purpose")
        return _Said(header, claims["iss"])
    except _UNREADABLE as error:
        raise IdTokenInvalid("MALFORMED", "it cannot be read") from error


def _signed(text: str, key: Key, algorithm: str) -> dict[str, Any]:
    """The claims of a token that this key has signed. Raises IdTokenInvalid."""
    try:
        return jwt.decode(text, key, algorithms=[algorithm]).claims
    except _UNREADABLE as error:
        raise IdTokenInvalid("SIGNATURE", "its signature is not its issuer's") from error
