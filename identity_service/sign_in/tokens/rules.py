"""Rules of refresh tokens."""

import enum
import hmac
from datetime import datetime, timedelta
from uuid import UUID

from identity_service.sign_in.tokens.types import RefreshToken, SignInRow, add_tag, derive_secret

GRACE = timedelta(seconds=10)
"""Time for which a replaced token still returns its successor, so that a client can retry a lost response."""

MAX_AUDITED_PER_HOUR = 20
"""Maximum number of sign-ins of one user that are audited in an hour, so that no user floods the audit log."""


class RefreshOutcome(enum.Enum):
    """The effect of presenting a refresh token."""

    ROTATE = enum.auto()
    """The token is current: it is replaced by its successor."""
    REPEAT = enum.auto()
    """The token was just replaced: the same successor is returned again."""
    REUSED = enum.auto()
    """The token was replaced earlier: the reuse is treated as theft, and the sign-in ends."""
    REJECT = enum.auto()
    """The sign-in has ended."""


def check_refresh(sign_in: SignInRow, presented: bytes, now: datetime) -> RefreshOutcome:
    """Returns the effect of a refresh token with this hash (RFC 9700, 2.2.2, with a grace for retries)."""
    if sign_in.revoked_at is not None or sign_in.expires_at <= now:
        return RefreshOutcome.REJECT
    if hmac.compare_digest(presented, sign_in.current_hash):
        return RefreshOutcome.ROTATE
    is_previous = sign_in.previous_hash is not None and hmac.compare_digest(presented, sign_in.previous_hash)
    if is_previous and sign_in.rotated_at is not None and now - sign_in.rotated_at <= GRACE:
        return RefreshOutcome.REPEAT
    return RefreshOutcome.REUSED


def parse(text: str) -> RefreshToken | None:
    """Returns the refresh token in a text, or None if it is malformed."""
    match text.split("."):
        case [user_id, sign_in_id, secret] if _is_uuid(user_id) and _is_uuid(sign_in_id) and secret:
            return RefreshToken(user_id, sign_in_id, secret)
        case _:
            return None


def first_secret(key: bytes, user_id: str, request_id: str, proof: str) -> str:
    """Returns the secret of the first token of a sign-in, which is the same for each retry of the request.

    `proof` is the password, ID token or code that identified the user.
    """
    return add_tag(key, user_id, derive_secret(key, f"first {request_id}", proof))


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
