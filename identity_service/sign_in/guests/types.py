"""Value types of guests."""

from datetime import datetime
from typing import NamedTuple


class GuestRow(NamedTuple):
    """A user that may be a guest."""

    user_id: str
    guest: bool
    deactivated_at: datetime | None
    deleted_at: datetime | None
    merged_into_user_id: str | None
