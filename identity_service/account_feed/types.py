"""Value types of the account feed."""

from datetime import datetime
from typing import Any, NamedTuple


class EventRow(NamedTuple):
    """An event of the feed."""

    sequence: int
    kind: str
    body: dict[str, Any]
    created_at: datetime


class RevokedTokens(NamedTuple):
    """A user whose tokens below `rights_version` are revoked."""

    user_id: str
    """In the canonical spelling, which tokens use."""
    rights_version: int
