"""Rules for the claims of an ID token (OpenID Connect Core 1.0, section 3.1.3.7)."""

import hmac
import re
from collections.abc import Mapping
from typing import Any

from chassis.tokens import CLOCK_SKEW
from identity_service.errors import IdTokenInvalid
from identity_service.people.users.types import Identifier
from identity_service.sign_in.identifiers.rules import parse_address
from identity_service.sign_in.identifiers.types import MAX_NAME_LENGTH, ExternalIdentity, VerifiedIdentity
from identity_service.trusted_issuers import GOOGLE, TrustedIssuer

MAX_SUBJECT_LENGTH = 255
_CLOCK_SKEW_SECONDS = CLOCK_SKEW.total_seconds()
_MAX_TIME_SECONDS = 1e12
"""Upper limit of a time claim, in seconds since the epoch. NaN and infinity fail the comparison with it."""
_VERIFIED_CLAIMS = (
    ("email", "email_verified"),
    ("phone_number", "phone_number_verified"),
)
_MAX_FEDERATED = 10
_GOOGLE_SUBJECT = re.compile(r"[0-9]{1,255}")


def check_claims(
    claims: Mapping[str, Any], trusted: TrustedIssuer, nonce: str, now: float
) -> VerifiedIdentity:
    """Returns the identity in the claims of a signed ID token; `now` is in seconds since the epoch.

    An empty `nonce` is not compared. Raises IdTokenInvalid.
    """
    if claims.get("iss") not in trusted.spellings:
        raise IdTokenInvalid("ISSUER_UNKNOWN", "its issuer is not trusted")
    _check_audience(claims, trusted)
    _check_time(claims, now)
    if nonce and not _equals(claims.get("nonce"), nonce):
        raise IdTokenInvalid("NONCE", "its nonce differs from that of the request")
    identity = ExternalIdentity(trusted.issuer, _get_subject(claims))
    return VerifiedIdentity(
        addresses=_verified_addresses(claims, trusted),
        identity=identity,
        name=_display_name(claims),
        federated=_federated_identities(claims) if trusted.is_cognito else (),
        anonymous=claims.get("is_anonymous") is True,
    )


def _check_audience(claims: Mapping[str, Any], trusted: TrustedIssuer) -> None:
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if not any(one in trusted.audiences for one in audiences):
        raise IdTokenInvalid("AUDIENCE", "it was issued for another audience")
    if len(audiences) > 1 and claims.get("azp") not in trusted.audiences:
        raise IdTokenInvalid("AUDIENCE", "it was issued to another client")


def _check_time(claims: Mapping[str, Any], now: float) -> None:
    expires_at = _get_time(claims, "exp")
    if expires_at is None:
        raise IdTokenInvalid("EXPIRED", "it has no expiry")
    if expires_at + _CLOCK_SKEW_SECONDS <= now:
        raise IdTokenInvalid("EXPIRED", "it has expired")
    for name in ("nbf", "iat"):
        if (_get_time(claims, name) or 0) - _CLOCK_SKEW_SECONDS > now:
            raise IdTokenInvalid("NOT_YET_VALID", "it is not valid yet")


def _get_time(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _MAX_TIME_SECONDS:
        raise IdTokenInvalid("MALFORMED", f"its claim {name} is not a time")
    return value


def _get_subject(claims: Mapping[str, Any]) -> str:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT_LENGTH:
        raise IdTokenInvalid("SUBJECT", "it has no valid subject")
    if not subject.isascii() or not subject.isprintable():
        raise IdTokenInvalid("SUBJECT", "its subject contains characters other than printable ASCII")
    return subject


def _verified_addresses(claims: Mapping[str, Any], trusted: TrustedIssuer) -> tuple[Identifier, ...]:
    names = [name for name, verified in _VERIFIED_CLAIMS if _is_true(claims.get(verified))]
    # Supabase Auth writes the result of its own confirmation into the metadata. Another issuer may let users
    # write any value there.
    if trusted.is_supabase and _is_true(_user_metadata(claims).get("email_verified")):
        names.append("email")
    texts = (claims.get(name) for name in dict.fromkeys(names))
    addresses = [parse_address(text) for text in texts if isinstance(text, str)]
    return tuple(address for address in addresses if address is not None)


def _is_true(value: object) -> bool:
    """Returns whether a claim is true. Cognito sends the string "true" instead of a boolean."""
    return value is True or (isinstance(value, str) and value == "true")


def _federated_identities(claims: Mapping[str, Any]) -> tuple[ExternalIdentity, ...]:
    """Returns the identities at Google with which the user signed in to Cognito."""
    listed = claims.get("identities")
    found = []
    for one in listed[:_MAX_FEDERATED] if isinstance(listed, list) else ():
        if not isinstance(one, Mapping) or one.get("providerType") != "Google":
            continue
        subject = one.get("userId")
        if isinstance(subject, str) and _GOOGLE_SUBJECT.fullmatch(subject):
            found.append(ExternalIdentity(GOOGLE, subject))
    return tuple(found)


def _user_metadata(claims: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the claim in which Supabase Auth writes the profile of the user."""
    metadata = claims.get("user_metadata")
    return metadata if isinstance(metadata, Mapping) else {}


def _display_name(claims: Mapping[str, Any]) -> str:
    metadata = _user_metadata(claims)
    for name in (claims.get("name"), metadata.get("full_name"), metadata.get("name")):
        if isinstance(name, str):
            visible = "".join(filter(str.isprintable, name)).strip()[:MAX_NAME_LENGTH].strip()
            if visible:
                return visible
    return ""


def _equals(value: object, expected: str) -> bool:
    return isinstance(value, str) and hmac.compare_digest(
        value.encode(errors="surrogatepass"), expected.encode()
    )
