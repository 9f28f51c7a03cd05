"""Parses the decoded parts of an access token strictly.

The issuer writes exactly one form of token. Any other form is forged, was issued for another purpose, or can
be parsed in two ways by two parsers (RFC 8725). It is therefore rejected.
"""

import json
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import NoReturn, TypeAlias, TypeVar

from chassis.access import role_name
from chassis.calls import Caller
from meno.access.v1.access_pb2 import GlobalRole

ISSUER = "meno"
AUDIENCE = "meno"
LIFETIME = timedelta(minutes=5)
CLOCK_SKEW = timedelta(seconds=10)
ALGORITHM = "ES256"
TYPE = "at+jwt"
"""The type of access tokens (RFC 9068). Other tokens that the same keys sign have other types."""

_ROLES = frozenset(map(role_name, GlobalRole.values())) - {"UNSPECIFIED"}

Claims: TypeAlias = Mapping[str, object]
Type = TypeVar("Type")


def kid_from(header: bytes) -> str:
    """Returns the key id of a token header. Raises ValueError or KeyError for any other form of header."""
    parameters = _parse(header)
    kid = _text(parameters, "kid")
    # Rejects `jwk`, `jku`, `x5u` and `crit`: the sender of a token must not choose the verification key.
    if parameters != {"alg": ALGORITHM, "typ": TYPE, "kid": kid}:
        raise ValueError("unexpected header parameters")
    return kid


def caller_from(payload: bytes, token: str) -> Caller:
    """Returns the caller that the claims of a verified token describe.

    Raises ValueError if a claim is invalid, KeyError if a claim is missing.
    """
    claims = _parse(payload)
    if claims["iss"] != ISSUER or claims["aud"] != AUDIENCE:
        raise ValueError("wrong issuer or audience")
    return Caller(
        user_id=_text(claims, "sub"),
        role=_role(claims),
        classes=_classes(claims["classes"]),
        archived=_classes(claims.get("archived", {})),
        sign_in_id=_text(claims, "sid"),
        rights_version=_typed(int, claims["rv"]),
        expires_at=float(_expiry(claims)),
        guest=_typed(bool, claims.get("guest", False)),
        token=token,
    )


def _expiry(claims: Claims) -> int:
    """Returns the time of expiry. A token must not live longer than revocations are remembered."""
    latest = time.time() + CLOCK_SKEW.total_seconds()
    issued_at, expires_at = _typed(int, claims["iat"]), _typed(int, claims["exp"])
    if max(issued_at, _typed(int, claims.get("nbf", 0))) > latest:
        raise ValueError("not yet valid")
    if not 0 < expires_at <= issued_at + LIFETIME.total_seconds():
        raise ValueError("expiry out of range")
    return expires_at


def _role(claims: Claims) -> str:
    role = _text(claims, "role")
    if role not in _ROLES:
        raise ValueError("unknown role")
    return role


def _classes(claim: object) -> dict[str, str]:
    return {class_id: _typed(str, role) for class_id, role in _typed(dict, claim).items()}


def _text(claims: Claims, name: str) -> str:
    text = _typed(str, claims[name])
    if not text:
        raise ValueError(f"{name} is empty")
    return text


def _typed(expected: type[Type], value: object) -> Type:
    """Returns the value if it has exactly this type. `isinstance` would accept True as an int."""
    if type(value) is not expected:
        raise ValueError(f"expected {expected.__name__}")
    return value


def _parse(raw: bytes) -> dict[str, object]:
    """Parses a JSON object with unique names (RFC 7515 section 4, RFC 7519 section 4)."""
    return _typed(dict, json.loads(raw.decode(), object_pairs_hook=_unique, parse_constant=_reject_constant))


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    parsed = dict(pairs)
    if len(parsed) != len(pairs):
        raise ValueError("duplicate name")
    return parsed


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not valid JSON")
