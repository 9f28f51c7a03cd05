"""Value types of sign-ins."""

from datetime import datetime
from typing import NamedTuple


class SignInRow(NamedTuple):
    """A sign-in in the list of its user."""

    sign_in_id: str
    created_at: datetime
    rotated_at: datetime | None
    expires_at: datetime
