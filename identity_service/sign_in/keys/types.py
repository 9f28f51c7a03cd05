"""Value types of signing keys and access tokens."""

from datetime import datetime
from typing import Any, NamedTuple


class KeyRow(NamedTuple):
    """A signing key; `private_key` is encrypted."""

    kid: str
    private_key: bytes
    public_jwk: dict[str, Any]
    signs_from: datetime
    retired_at: datetime | None = None


class Subject(NamedTuple):
    """The user of an access token, their rights, and the sign-in that the token belongs to."""

    user_id: str
    role: str
    rights_version: int
    guest: bool
    classes: dict[str, str]
    """Class role by class id, for active classes."""
    archived: dict[str, str]
    """Class role by class id, for archived classes, which are read-only."""
    sign_in_id: str


class AccessToken(NamedTuple):
    """A signed access token and its expiry."""

    text: str
    expires_at: datetime
