"""Value types of events."""

from datetime import datetime
from typing import NamedTuple


class EventRow(NamedTuple):
    """An event."""

    sequence: int
    client_event_id: str
    kind: str
    step: int
    payload: str | None
    """JSON."""
    created_at: datetime


class NewEvent(NamedTuple):
    """An event to insert."""

    client_event_id: str
    kind: str
    step: int
    payload: str | None
    """JSON."""
