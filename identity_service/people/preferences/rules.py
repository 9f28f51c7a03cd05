"""Rules of preferences."""

from collections.abc import Mapping
from typing import Any

from chassis.errors import FieldInvalid
from identity_service.people.preferences import time_zones
from identity_service.people.preferences.types import Preferences, PreferencesRow

DEFAULTS = Preferences(
    app_theme="light",
    prefers_assistive_learning=False,
    notifications={},
    time_zone=time_zones.UTC,
    keep_practice_history=False,
)
INITIAL_VERSION = 0
"""The version of preferences that the user has never changed."""


def from_row(row: PreferencesRow) -> Preferences:
    """Returns the stored preferences, or the defaults if nothing is stored."""
    if row.version is None:
        return DEFAULTS
    return Preferences(*(getattr(row, name) for name in Preferences._fields))


def get_version(row: PreferencesRow) -> int:
    """Returns the version of the preferences, from which their etag is made."""
    return row.version or INITIAL_VERSION


def apply_changes(preferences: Preferences, changes: Mapping[str, Any]) -> Preferences:
    """Returns the preferences after an update. None resets a field to its default. Raises FieldInvalid."""
    if time_zone := changes.get("time_zone"):
        check_time_zone("settings.time_zone", time_zone)
    return preferences._replace(
        **{name: getattr(DEFAULTS, name) if value is None else value for name, value in changes.items()}
    )


def check_time_zone(field: str, name: str) -> None:
    """Raises FieldInvalid if the name is not in the IANA time zone database."""
    if name not in time_zones.list_names():
        description = "must be a name of the IANA time zone database, such as `Asia/Kolkata`"
        raise FieldInvalid.of(field, description, "time_zone.known")


def affects_other_services(before: Preferences, after: Preferences) -> bool:
    """Returns whether a change concerns preferences that other services read."""
    return (before.time_zone, before.keep_practice_history) != (after.time_zone, after.keep_practice_history)
