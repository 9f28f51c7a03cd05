"""Value types of sessions."""

from datetime import datetime
from typing import NamedTuple


class SessionRow(NamedTuple):
    """A session."""

    user_id: str
    session_id: str
    mode: str
    phase: str
    goal: dict[str, str] | None
    class_id: str | None
    content_id: str | None
    lesson_title: str
    state_version: int
    last_sequence: int
    event_bytes: int
    created_at: datetime
    updated_at: datetime


class NewSession(NamedTuple):
    """A session to insert."""

    user_id: str
    mode: str
    goal: dict[str, str] | None
    class_id: str | None
    content_id: str | None
    lesson_title: str
