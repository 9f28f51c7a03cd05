"""Verifies ID tokens of trusted issuers."""

import json
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jws import extract_compact

from identity_service.errors import IdTokenInvalid
from identity_service.sign_in.identifiers.types import VerifiedIdentity
from identity_service.sign_in.issuers import rules
from identity_service.sign_in.issuers.fetcher import HttpFetcher
from identity_service.sign_in.issuers.keys import IssuerKeys, Key
from identity_service.trusted_issuers import TrustedIssuer

MAX_CHARACTERS = 24 * 1024
"""Maximum length of an ID token."""

# The exceptions of joserfc and json for arbitrary bytes. Deeply nested JSON raises RecursionError.
_PARSE_ERRORS = (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError)


class _UnverifiedClaims(NamedTuple):
    """The header and the issuer of a token before its signature is verified."""

    header: dict[str, Any]
    issuer: object


class IdTokenVerifier:
    """Verifies ID tokens. Without a trusted issuer it creates no HTTP client and rejects every token."""

    def __init__(self, trusted: Sequence[TrustedIssuer]) -> None:
        self._fetcher = HttpFetcher() if trusted else None
        self._trusted = {spelling: one for one in trusted for spelling in one.spellings}
        self._keys = {
            one.issuer: IssuerKeys(one, self._fetcher.fetch_json) for one in trusted if self._fetcher
        }

    async def verify(self, text: str, nonce: str) -> VerifiedIdentity:
        """Returns the identity in an ID token. An empty `nonce` is not compared.

        Raises IdTokenInvalid, or ServiceUnavailable if the keys of the issuer cannot be fetched.
        """
        if len(text) > MAX_CHARACTERS:
            raise IdTokenInvalid("MALFORMED", f"it is longer than {MAX_CHARACTERS} characters")
        unverified = _parse(text)
        issuer = unverified.issuer
        trusted = self._trusted.get(issuer) if isinstance(issuer, str) else None
        if trusted is None:
            raise IdTokenInvalid("ISSUER_UNKNOWN", "its issuer is not trusted")
        algorithm = unverified.header.get("alg")
        if algorithm not in trusted.algorithms:
            raise IdTokenInvalid("ALGORITHM", "its signature algorithm is not allowed for its issuer")
        # Key locations in the header (jwk, jku, x5u) are ignored, because the sender controls them.
        key = await self._keys[trusted.issuer].get(unverified.header.get("kid"), algorithm)
        return rules.check_claims(_verify_signature(text, key, algorithm), trusted, nonce, time.time())

    async def close(self) -> None:
        """Cancels running fetches and closes the connections."""
        for keys in self._keys.values():
            await keys.close()
        if self._fetcher is not None:
            await self._fetcher.close()


def _parse(text: str) -> _UnverifiedClaims:
    try:
        compact = extract_compact(text.encode())
        header, claims = compact.headers(), json.loads(compact.payload)
        typ = header.get("typ", "JWT")
        # An issuer signs access tokens and logout tokens with the same keys (RFC 8725, section 3.11).
        if typ.upper() != "JWT":
            raise IdTokenInvalid("MALFORMED", "it is a token of another type")
        return _UnverifiedClaims(header, claims["iss"])
    except _PARSE_ERRORS as error:
        raise IdTokenInvalid("MALFORMED", "it cannot be parsed") from error


def _verify_signature(text: str, key: Key, algorithm: str) -> dict[str, Any]:
    """Returns the claims of a token that this key has signed. Raises IdTokenInvalid."""
    try:
        return jwt.decode(text, key, algorithms=[algorithm]).claims
    except _PARSE_ERRORS as error:
        raise IdTokenInvalid("SIGNATURE", "its signature is not valid for the key of its issuer") from error
