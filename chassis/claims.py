"""What the parts of an access token must be, to the letter, once they are decoded.

The issuer writes exactly one form of token, so that whatever differs from it is forged, meant for
another purpose, or read in two ways by two readers (RFC 8725). Nothing here is lenient.
"""

import json
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, TypeVar

from chassis.access import role_name
from chassis.calls import Caller
from meno.access.v1.access_pb2 import GlobalRole

ISSUER = "meno"
AUDIENCE = "meno"
LIFETIME = timedelta(minutes=5)
CLOCK_SKEW = timedelta(seconds=10)
ALGORITHM = "ES256"
TYPE = "at+jwt"
"""RFC 9068: of an access token, and of nothing else that the same keys may sign."""

_ROLES = frozenset(map(role_name, GlobalRole.values())) - {"UNSPECIFIED"}

Kind = TypeVar("Kind")


def kid_from(header: bytes) -> str:
    """The key that a header names. Raises ValueError where it says anything else than that."""
    parameters = _parsed(header)
    kid = _text(parameters, "kid")
    # No `jwk`, `jku`, `x5u` or `crit`: who signs does not say what verifies it.
    if parameters != {"alg": ALGORITHM, "typ": TYPE, "kid": kid}:
        raise ValueError("a header that the issuer does not write")
    return kid


def caller_from(payload: bytes, token: str) -> Caller:
    """The caller whom the claims of a verified token describe. Raises ValueError, or KeyError for one that lacks."""
    claims = _parsed(payload)
    if claims["iss"] != ISSUER or claims["aud"] != AUDIENCE:
        raise ValueError("not issued by this installation, or not for it")
    return Caller(
        user_id=_text(claims, "sub"),
        role=_role(claims),
        classes=_classes(claims["classes"]),
        archived=_classes(claims.get("archived", {})),
        sign_in_id=_text(claims, "sid"),
        rights_version=_of(int, claims["rv"]),
        expires_at=float(_end(claims)),
        guest=_of(bool, claims.get("guest", False)),
        token=token,
    )


def _end(claims: Mapping[str, Any]) -> int:
    """When the token ends. It lives for no longer than lost rights are remembered."""
    latest = time.time() + CLOCK_SKEW.total_seconds()
    begin, end = _of(int, claims["iat"]), _of(int, claims["exp"])
    if max(begin, _of(int, claims.get("nbf", 0))) > latest:
        raise ValueError("not valid yet")
    if not 0 < end <= begin + LIFETIME.total_seconds():
        raise ValueError("no time at which a token ends")
    return end


def _role(claims: Mapping[str, Any]) -> str:
    role = _text(claims, "role")
    if role not in _ROLES:
        raise ValueError("an unknown role")
    return role


def _classes(idempotency_key: Any) -> dict[str, str]:
    return {class_id: _of(str, role) for class_id, role in _of(dict, idempotency_key).items()}


def _text(claims: Mapping[str, Any], name: str) -> str:
    text = _of(str, claims[name])
    if not text:
        raise ValueError(f"an empty {name}")
    return text


def _of(kind: type[Kind], value: Any) -> Kind:
    """The value, of exactly this type: True is no number."""
    if type(value) is not kind:
        raise ValueError(f"{kind.__name__} is expected")
    return value


def _parsed(raw: bytes) -> dict[str, Any]:
    """An object whose names are unique (RFC 7515, 4; RFC 7519, 4), in plain UTF-8, of what JSON knows."""
    parsed = json.loads(raw.decode(), object_pairs_hook=_unique, parse_constant=_no_number)
    return _of(dict, parsed)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")
