"""Value types of memberships."""

from datetime import datetime
from typing import NamedTuple


class MembershipRow(NamedTuple):
    """A membership in any status."""

    class_id: str
    user_id: str
    role: str
    status: str
    created_at: datetime
    roster_sourced_id: str | None
    display_name: str
    global_role: str
