"""Decodes access tokens, and checks them with the keys of the installation."""

import base64
import json
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

from chassis import tokens


@dataclass(frozen=True)
class Token:
    """A decoded token. Nothing of it is verified."""

    header: dict[str, Any]
    claims: dict[str, Any]


class TokenCheck(NamedTuple):
    """The result of one check of a token."""

    passed: bool
    name: str
    detail: str


def decode(token: str) -> Token:
    """Returns the header and the claims of a token. Raises ValueError if it is malformed."""
    parts = token.split(".")
    if len(parts) != 3:
        raise ValueError("a token must have three parts, separated by dots")
    header, claims = (_decode_part(part) for part in parts[:2])
    return Token(header, claims)


def check_token(text: str, key_set: dict[str, Any], now: float | None = None) -> list[TokenCheck]:
    """Returns the result of every check that services make of a token.

    A malformed token has only one result.
    """
    now = time.time() if now is None else now
    try:
        token = decode(text)
    except ValueError as error:
        return [TokenCheck(False, "is well-formed", str(error))]
    skew = tokens.CLOCK_SKEW.total_seconds()
    claims, header = token.claims, token.header
    kids = [str(key.get("kid")) for key in key_set.get("keys", [])]
    kid, algorithm, kind = (str(header.get(name, "none")) for name in ("kid", "alg", "typ"))
    known = ", ".join(kids) or "none"
    checks = [
        TokenCheck(len(text) <= tokens.MAX_TOKEN_BYTES, "is small enough", f"{len(text)} bytes"),
        TokenCheck(algorithm == tokens.ALGORITHM, f"is signed with {tokens.ALGORITHM}", algorithm),
        TokenCheck(kind == tokens.TYPE, "is an access token", f"typ {kind}"),
        TokenCheck(kid in kids, "uses a key of this installation", f"{kid}; known keys: {known}"),
        TokenCheck(_is_signed(text, key_set), "has a valid signature", "" if kid in kids else "unknown key"),
        TokenCheck(claims.get("iss") == tokens.ISSUER, "was issued by Meno", f"iss {claims.get('iss')}"),
        TokenCheck(claims.get("aud") == tokens.AUDIENCE, "is for Meno", f"aud {claims.get('aud')}"),
        TokenCheck(bool(claims.get("sub")), "has a subject", str(claims.get("sub", ""))),
    ]
    expires, issued = _to_seconds(claims.get("exp")), _to_seconds(claims.get("iat"))
    checks.append(TokenCheck(issued <= now + skew, "was issued before now", _format_age(now - issued)))
    checks.append(TokenCheck(now < expires + skew, "has not expired", _format_age(now - expires)))
    return checks


def _is_signed(text: str, key_set: dict[str, Any]) -> bool:
    from joserfc import jws
    from joserfc.errors import JoseError
    from joserfc.jwk import KeySet

    try:
        keys = KeySet.import_key_set(key_set)  # type: ignore[arg-type]
        jws.deserialize_compact(text, keys, algorithms=[tokens.ALGORITHM])
    except (JoseError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return True


def _decode_part(part: str) -> dict[str, Any]:
    content = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    if not isinstance(content, dict):
        raise ValueError("the parts of a token must be JSON objects")
    return content


def _to_seconds(claim: object) -> float:
    return float(claim) if isinstance(claim, int | float) and not isinstance(claim, bool) else 0.0


def _format_age(seconds: float) -> str:
    return f"{seconds:.0f} s ago" if seconds >= 0 else f"in {-seconds:.0f} s"
