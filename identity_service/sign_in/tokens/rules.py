"""Rules of signing in: refresh tokens, throttling."""

import enum
import hashlib
import hmac
import secrets
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

GRACE = timedelta(seconds=10)
"""How long the token that was just replaced still returns its successor: a lost answer costs nothing."""

WAITS: tuple[tuple[int, timedelta], ...] = (
    *((5 + doubled, timedelta(seconds=2**doubled)) for doubled in range(10)),
    (15, timedelta(minutes=15)),
    (100, timedelta(days=1)),
)
"""From so many failed attempts in a row on, how long a name waits for the next. After a hundred, the most
that NIST allows (SP 800-63B, rate limiting), guessing leads nowhere, and yet nobody is shut out for good."""

FAILURES_FORGOTTEN_AFTER = timedelta(days=1)
FORGOTTEN_AFTER_WAITS = 30
"""Nor are failures forgotten before so many times their wait."""


class RefreshToken(NamedTuple):
    """A refresh token, `user_id.sign_in_id.secret`: only hashes of its secret are stored."""

    user_id: str
    sign_in_id: str
    secret: str

    def text(self) -> str:
        """As it travels."""
        return ".".join(self)

    def hash(self) -> bytes:
        """As it is stored."""
        return hashlib.sha256(self.secret.encode()).digest()

    def successor(self, key: bytes) -> "RefreshToken":
        """The token that replaces this one: the same each time, and known only to who has both halves."""
        return self._replace(secret=_derive(key, "successor", self.secret))


class Family(NamedTuple):
    """What is stored of a sign-in's refresh tokens."""

    current_hash: bytes
    previous_hash: bytes | None
    rotated_at: datetime | None
    expires_at: datetime
    revoked_at: datetime | None


class Verdict(enum.Enum):
    """What becomes of a refresh token that is presented."""

    ROTATE = enum.auto()
    """It is the current one: a successor takes its place."""
    REPEAT = enum.auto()
    """It was just replaced: the same successor is returned once more."""
    REUSED = enum.auto()
    """It was replaced before: taken for theft, the family ends."""
    REFUSE = enum.auto()
    """The family has ended."""


def judge(family: Family, presented: bytes, now: datetime) -> Verdict:
    """What becomes of a token with this hash (RFC 9700, 2.2.2, with a grace for lost answers)."""
    if family.revoked_at is not None or family.expires_at <= now:
        return Verdict.REFUSE
    if hmac.compare_digest(presented, family.current_hash):
        return Verdict.ROTATE
    just_replaced = family.previous_hash is not None and hmac.compare_digest(presented, family.previous_hash)
    if just_replaced and family.rotated_at is not None and now - family.rotated_at <= GRACE:
        return Verdict.REPEAT
    return Verdict.REUSED


def parse(text: str) -> RefreshToken | None:
    """The token that a text spells, or None."""
    match text.split("."):
        case [user_id, sign_in_id, secret] if _is_uuid(user_id) and _is_uuid(sign_in_id) and secret:
            return RefreshToken(user_id, sign_in_id, secret)
        case _:
            return None


def first_secret(key: bytes, request_id: str, proof: str) -> str:
    """The secret of a sign-in's first token: random, or the same for the same request and proof.

    The proof is what showed who it is: a password, an ID token, a code.
    """
    if not request_id:
        return secrets.token_urlsafe(32)
    return _derive(key, f"first {request_id}", proof)


def counter(key: bytes, name: str) -> bytes:
    """What the attempts on a name are counted under, whether or not anybody has it.

    Each kind of proof has a key of its own, so that one is not guessed by way of the other, and
    nobody is kept from theirs by guesses at the other.
    """
    return hmac.digest(key, f"attempts\0{name}".encode(), hashlib.sha256)


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _derive(key: bytes, purpose: str, secret: str) -> str:
    return hmac.new(key, f"{purpose}\0{secret}".encode(), hashlib.sha256).hexdigest()
