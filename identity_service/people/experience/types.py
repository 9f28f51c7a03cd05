"""Value types of experience points (XP)."""

from datetime import datetime
from typing import NamedTuple


class EntryRow(NamedTuple):
    """An entry of the XP ledger."""

    xp_entry_id: str
    amount: int
    reason: str
    reference_id: str | None
    created_at: datetime


class NewEntry(NamedTuple):
    """An entry to insert. A negative amount is a deduction."""

    user_id: str
    award_id: str
    amount: int
    reason: str
    reference_id: str | None


class Award(NamedTuple):
    """A request to award or deduct XP."""

    award_id: str
    """The idempotency key of the award."""
    user_id: str
    amount: int
    reason: str
    reference_id: str | None
