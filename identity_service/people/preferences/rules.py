"""Rules of people's settings."""

import json
from collections.abc import Iterable
from typing import Any

from google.protobuf.struct_pb2 import Struct

from chassis import structs
from chassis.errors import FieldInvalid
from chassis.wire import Spelling
from identity_service.people.preferences import zones
from identity_service.people.preferences.store import Settings
from meno.identity.v1.user_service_pb2 import AppTheme, UserSettings

THEMES = Spelling(AppTheme, lower=True)
DEFAULTS = Settings(
    app_theme="light",
    prefers_assistive_learning=False,
    notifications={},
    time_zone=zones.UTC,
    keep_practice_history=False,
)


def changed(settings: Settings, wish: UserSettings, mask: Iterable[str]) -> Settings:
    """The settings after an update: the fields of the mask, or those that the wish sets (AIP-134).

    What is empty becomes the default. Raises FieldInvalid.
    """
    given = {field.name for field, _ in wish.ListFields()}
    fields = {*mask} or given & {*Settings._fields}
    values = {name: _read(wish, name) for name in fields & given}
    return settings._replace(**{name: getattr(DEFAULTS, name) for name in fields - given}, **values)


def check_zone(field: str, name: str) -> None:
    """Raises FieldInvalid for what is no time zone."""
    if name not in zones.names():
        description = "must be a name of the IANA time zone database, such as `Asia/Kolkata`"
        raise FieldInvalid.of(field, description, "time_zone.known")


def concern_others(before: Settings, after: Settings) -> bool:
    """Whether other services need to know of a change."""
    return (before.time_zone, before.keep_practice_history) != (after.time_zone, after.keep_practice_history)


def _read(wish: UserSettings, name: str) -> Any:
    match name:
        case "app_theme":
            return THEMES.text(wish.app_theme)
        case "notifications":
            return _stored(wish.notifications)
        case "time_zone":
            check_zone("settings.time_zone", wish.time_zone)
    return getattr(wish, name)


def _stored(notifications: Struct) -> dict[str, Any]:
    """Notifications as they are stored. Raises FieldInvalid."""
    try:
        stored: dict[str, Any] = json.loads(structs.text(notifications))
    except structs.TooLarge as error:
        rule = f"must be at most {structs.MAX_BYTES} bytes of JSON and {structs.MAX_DEPTH} levels deep"
        raise FieldInvalid.of("settings.notifications", rule, "notifications.size") from error
    except structs.Unstorable as error:
        raise FieldInvalid.of("settings.notifications", str(error), "notifications.json") from error
    return stored
