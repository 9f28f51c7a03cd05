"""Maps preferences to and from the messages of the contract."""

import json
from typing import Any

from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct

from chassis import etags, field_masks, structs
from chassis.conversions import EnumCodec, to_timestamp
from chassis.errors import FieldInvalid
from identity_service.people.preferences import rules
from identity_service.people.preferences.types import Preferences, PreferencesRow
from meno.identity.v1.resources_pb2 import AppTheme, UserSettings
from meno.identity.v1.user_service_pb2 import UpdateSettingsRequest

THEMES = EnumCodec(AppTheme, spelling=str.lower)


def to_message(row: PreferencesRow) -> UserSettings:
    """Returns the settings of a row."""
    preferences = rules.from_row(row)
    return UserSettings(
        user_id=row.user_id,
        app_theme=THEMES.value(preferences.app_theme),
        prefers_assistive_learning=preferences.prefers_assistive_learning,
        notifications=ParseDict(preferences.notifications, Struct()),
        time_zone=preferences.time_zone,
        keep_practice_history=preferences.keep_practice_history,
        update_time=to_timestamp(row.updated_at),
        etag=etags.etag(rules.get_version(row)),
    )


def read_changes(request: UpdateSettingsRequest) -> dict[str, Any]:
    """Returns the preferences that an update changes; None stands for an empty field.

    Raises FieldInvalid for notifications that cannot be stored.
    """
    changes = field_masks.changes(request.settings, request.update_mask, Preferences._fields)
    return {name: _to_preference(name, value) if value else None for name, value in changes.items()}


def _to_preference(name: str, value: Any) -> Any:
    match name:
        case "app_theme":
            return THEMES.name(value)
        case "notifications":
            return _to_json(value)
    return value


def _to_json(notifications: Struct) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads(structs.to_canonical_json(notifications))
    except structs.TooLarge as error:
        rule = f"must be at most {structs.MAX_BYTES} bytes of JSON and {structs.MAX_DEPTH} levels deep"
        raise FieldInvalid.of("settings.notifications", rule, "notifications.size") from error
    except structs.UnsupportedValue as error:
        raise FieldInvalid.of("settings.notifications", str(error), "notifications.json") from error
    return values
