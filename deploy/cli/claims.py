"""What a token says, and whether it holds: judged by the keys of the installation."""

import base64
import json
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

from chassis import tokens


@dataclass(frozen=True)
class Token:
    """A token taken apart; nothing of it is verified."""

    header: dict[str, Any]
    claims: dict[str, Any]


class Finding(NamedTuple):
    """One thing that a token has to be."""

    passed: bool
    what: str
    detail: str


def read(token: str) -> Token:
    """Takes a token apart. Raises ValueError where it is none."""
    parts = token.split(".")
    if len(parts) != 3:
        raise ValueError("a token has three parts, with points between them")
    header, claims = (_decoded(part) for part in parts[:2])
    return Token(header, claims)


def judge(text: str, key_set: dict[str, Any], now: float | None = None) -> list[Finding]:
    """Everything that a token has to be, each with what was found."""
    now = time.time() if now is None else now
    try:
        token = read(text)
    except ValueError as error:
        return [Finding(False, "can be read", str(error))]
    skew = tokens.CLOCK_SKEW.total_seconds()
    claims, header = token.claims, token.header
    kids = [str(key.get("kid")) for key in key_set.get("keys", [])]
    kid, algorithm, kind = (str(header.get(name, "none")) for name in ("kid", "alg", "typ"))
    found = [
        Finding(len(text) <= tokens.MAX_TOKEN_BYTES, "is small enough", f"{len(text)} bytes"),
        Finding(algorithm == tokens.ALGORITHM, f"is signed with {tokens.ALGORITHM}", algorithm),
        Finding(kind == tokens.TYPE, "is an access token", f"typ {kind}"),
        Finding(
            kid in kids, "names a key of this installation", f"{kid}; there are {', '.join(kids) or 'none'}"
        ),
        Finding(_is_signed(text, key_set), "has its signature", "" if kid in kids else "the key is unknown"),
        Finding(claims.get("iss") == tokens.ISSUER, "was issued by Meno", f"iss {claims.get('iss')}"),
        Finding(claims.get("aud") == tokens.AUDIENCE, "is for Meno", f"aud {claims.get('aud')}"),
        Finding(bool(claims.get("sub")), "names a person", str(claims.get("sub", ""))),
    ]
    ends, begins = _seconds(claims.get("exp")), _seconds(claims.get("iat"))
    found.append(Finding(begins <= now + skew, "was issued before now", _ago(now - begins)))
    found.append(Finding(now < ends + skew, "has not expired", _ago(now - ends)))
    return found


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


def _decoded(part: str) -> dict[str, Any]:
    content = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    if not isinstance(content, dict):
        raise ValueError("its parts are JSON objects")
    return content


def _seconds(claim: object) -> float:
    return float(claim) if isinstance(claim, int | float) and not isinstance(claim, bool) else 0.0


def _ago(seconds: float) -> str:
    return f"{seconds:.0f} s ago" if seconds >= 0 else f"in {-seconds:.0f} s"
