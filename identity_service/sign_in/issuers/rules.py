"""What the claims of an ID token must say (OpenID Connect Core, 3.1.3.7), and what they prove."""

import hmac
from collections.abc import Mapping
from typing import Any

from chassis.tokens import CLOCK_SKEW
from identity_service.errors import IdTokenInvalid
from identity_service.sign_in.credentials.proofs import LONGEST_NAME, Identity, Proof, address
from identity_service.sign_in.issuers.settings import TrustedIssuer

MAX_SUBJECT = 255
_SKEW = CLOCK_SKEW.total_seconds()
_FOR_EVER = 1e12
"""No moment of a token, in seconds, is beyond it; NaN is not below it either."""


def check(claims: Mapping[str, Any], trusted: TrustedIssuer, nonce: str, now: float) -> Proof:
    """What claims prove that the issuer has signed; `now` is in seconds since the epoch.

    Raises IdTokenInvalid.
    """
    if claims.get("iss") != trusted.issuer:
        raise IdTokenInvalid("ISSUER_UNKNOWN", "its issuer is another")
    _check_audience(claims, trusted)
    _check_time(claims, now)
    if nonce and not _equal(claims.get("nonce"), nonce):
        raise IdTokenInvalid("NONCE", "its nonce is another")
    return Proof(_proven(claims), Identity(trusted.issuer, _subject(claims)), _name(claims))


def _check_audience(claims: Mapping[str, Any], trusted: TrustedIssuer) -> None:
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if not any(one in trusted.audiences for one in audiences):
        raise IdTokenInvalid("AUDIENCE", "it is meant for somebody else")
    if len(audiences) > 1 and claims.get("azp") not in trusted.audiences:
        raise IdTokenInvalid("AUDIENCE", "it was given to somebody else")


def _check_time(claims: Mapping[str, Any], now: float) -> None:
    ends = _moment(claims, "exp")
    if ends is None:
        raise IdTokenInvalid("EXPIRED", "it does not say when it ends")
    if ends + _SKEW <= now:
        raise IdTokenInvalid("EXPIRED", "it has expired")
    for name in ("nbf", "iat"):
        if (_moment(claims, name) or 0) - _SKEW > now:
            raise IdTokenInvalid("NOT_YET_VALID", "it is not valid yet")


def _moment(claims: Mapping[str, Any], name: str) -> float | None:
    """A time that a claim tells. Raises IdTokenInvalid for what is no time."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _FOR_EVER:
        raise IdTokenInvalid("MALFORMED", f"its {name} is no time")
    return value


def _subject(claims: Mapping[str, Any]) -> str:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT:
        raise IdTokenInvalid("SUBJECT", "it does not say whom it is about")
    if not subject.isascii() or not subject.isprintable():
        raise IdTokenInvalid("SUBJECT", "whom it is about is not told in ASCII")
    return subject


def _proven(claims: Mapping[str, Any]) -> Any:
    """The addresses that the issuer says it has verified; Cognito says so with a text."""
    told = (("email", "email_verified"), ("phone_number", "phone_number_verified"))
    texts = [claims.get(name) for name, verified in told if claims.get(verified) in (True, "true")]
    found = [address(text) for text in texts if isinstance(text, str)]
    return tuple(one for one in found if one is not None)


def _name(claims: Mapping[str, Any]) -> str:
    name = claims.get("name")
    if not isinstance(name, str):
        return ""
    return "".join(filter(str.isprintable, name)).strip()[:LONGEST_NAME].strip()


def _equal(told: object, expected: str) -> bool:
    return isinstance(told, str) and hmac.compare_digest(
        told.encode(errors="surrogatepass"), expected.encode()
    )
