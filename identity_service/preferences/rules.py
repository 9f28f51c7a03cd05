"""Rules of people's settings."""

import json
from collections.abc import Iterable
from typing import Any

from google.protobuf.json_format import Error, MessageToDict
from google.protobuf.struct_pb2 import Struct

from chassis.errors import FieldInvalid
from chassis.wire import Spelling
from identity_service.preferences import zones
from identity_service.preferences.store import Settings
from meno.identity.v1.user_service_pb2 import AppTheme, UserSettings

THEMES = Spelling(AppTheme, lower=True)
DEFAULTS = Settings(
    app_theme="light",
    prefers_assistive_learning=False,
    notifications={},
    time_zone=zones.UTC,
    keep_practice_history=False,
)
MAX_BYTES = 16 * 1024
MAX_DEPTH = 8
"""Objects and lists within each other, the notifications themselves being the first."""


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
    """Notifications as they are stored. Raises FieldInvalid where there is no such JSON, or too much of it."""
    field = "settings.notifications"
    try:
        value: dict[str, Any] = MessageToDict(notifications)
    except (Error, ValueError) as error:
        raise FieldInvalid.of(field, "holds no number but finite ones", "notifications.finite") from error
    if len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()) > MAX_BYTES:
        raise FieldInvalid.of(field, f"must be at most {MAX_BYTES} bytes of JSON", "notifications.max_bytes")
    if _depth(value) > MAX_DEPTH:
        raise FieldInvalid.of(field, f"must be at most {MAX_DEPTH} levels deep", "notifications.max_depth")
    return value


def _depth(value: Any) -> int:
    match value:
        case dict():
            return 1 + max(map(_depth, value.values()), default=0)
        case list():
            return 1 + max(map(_depth, value), default=0)
    return 0
