"""Value types of refresh tokens and sign-ins."""

import hashlib
import hmac
from datetime import datetime
from typing import NamedTuple


class RefreshToken(NamedTuple):
    """A refresh token, `user_id.sign_in_id.secret`. Only hashes of the secret are stored.

    The secret ends with a tag that only this service can compute. A token that was issued and replaced can
    therefore be distinguished from one that was never issued.
    """

    user_id: str
    sign_in_id: str
    secret: str

    def text(self) -> str:
        """Returns the token as clients send it."""
        return ".".join(self)

    def hash(self) -> bytes:
        """Returns the hash that is stored."""
        return hashlib.sha256(self.secret.encode()).digest()

    def successor(self, key: bytes) -> "RefreshToken":
        """Returns the token that replaces this one.

        It is derived from `key` and the secret: repeated calls return the same token, and nobody can compute
        it without both.
        """
        return self._replace(secret=add_tag(key, self.user_id, derive_secret(key, "successor", self.secret)))

    def was_issued(self, key: bytes) -> bool:
        """Returns whether the tag of the secret is valid."""
        untagged, _, _ = self.secret.rpartition("-")
        return hmac.compare_digest(self.secret.encode(), add_tag(key, self.user_id, untagged).encode())


class SignInTokens(NamedTuple):
    """The current refresh token of a sign-in, and its expiry."""

    token: RefreshToken
    expires_at: datetime


class SignInRow(NamedTuple):
    """A sign-in and the state of its refresh tokens."""

    sign_in_id: str
    current_hash: bytes
    previous_hash: bytes | None
    rotated_at: datetime | None
    expires_at: datetime
    revoked_at: datetime | None


class BegunRow(NamedTuple):
    """A sign-in that a request began, now or earlier."""

    sign_in_id: str
    current_hash: bytes
    rotated_at: datetime | None
    expires_at: datetime
    revoked_at: datetime | None
    is_new: bool
    """Whether the current transaction began it."""
    earlier: int
    """The number of sign-ins of the user in the hour before it. Only valid for a new one."""


class SubjectRow(NamedTuple):
    """The rights of a user, read in one snapshot."""

    role: str
    guest: bool
    active: bool
    rights_version: int
    classes: dict[str, str]
    archived: dict[str, str]


def add_tag(key: bytes, user_id: str, secret: str) -> str:
    """Returns the secret of a refresh token with its tag of 128 bits."""
    tag = derive_secret(key, f"issued to {user_id}", secret)[:32]
    return f"{secret}-{tag}"


def derive_secret(key: bytes, purpose: str, secret: str) -> str:
    """Returns a secret that is derived from another one with HMAC-SHA-256."""
    return hmac.new(key, f"{purpose}\0{secret}".encode(), hashlib.sha256).hexdigest()
