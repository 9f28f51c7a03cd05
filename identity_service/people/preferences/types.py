"""Value types of preferences."""

from datetime import datetime
from typing import Any, NamedTuple


class Preferences(NamedTuple):
    """The settings that a user chooses."""

    app_theme: str
    prefers_assistive_learning: bool
    notifications: dict[str, Any]
    time_zone: str
    keep_practice_history: bool


class PreferencesRow(NamedTuple):
    """The stored settings of a user. All fields except `user_id` are None if nothing is stored."""

    user_id: str
    app_theme: str | None
    prefers_assistive_learning: bool | None
    notifications: dict[str, Any] | None
    time_zone: str | None
    keep_practice_history: bool | None
    version: int | None
    updated_at: datetime | None
