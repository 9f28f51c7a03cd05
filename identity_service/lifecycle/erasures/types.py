"""Value types of erasures."""

from datetime import datetime
from typing import NamedTuple


class ReceiptRow(NamedTuple):
    """The receipt of a service that has erased a user's data."""

    service: str
    rows: int
    """The number of rows that the service deleted or cleared."""
    created_at: datetime


class ErasureProgress(NamedTuple):
    """The state of an erasure."""

    user_id: str
    created_at: datetime
    receipts: list[ReceiptRow]
    """Sorted by service."""
