"""Settings of users, over gRPC."""

import asyncio
import uuid
from typing import Any

import psycopg
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.struct_pb2 import Struct
from google.rpc.error_details_pb2 import BadRequest

from chassis.testing import expect_error
from identity_service.tests.conftest import Identity, Person
from meno.identity.v1.resources_pb2 import APP_THEME_DARK, APP_THEME_LIGHT, UserSettings
from meno.identity.v1.user_service_pb2 import EraseUserRequest, GetSettingsRequest, UpdateSettingsRequest

MINE = GetSettingsRequest(user_id="me")


async def test_unchanged_settings_are_the_defaults_and_are_not_stored(town: Identity) -> None:
    person = await town.sign_up()
    settings = await town.users.GetSettings(MINE, **person.auth)
    assert settings == UserSettings(
        user_id=person.user_id, app_theme=APP_THEME_LIGHT, notifications=Struct(), time_zone="UTC", etag="0"
    )
    with psycopg.connect(town.database_url) as connection:
        stored = connection.execute("SELECT 1 FROM user_settings WHERE user_id = %s", [person.user_id])
        assert stored.fetchone() is None


async def test_an_update_sets_and_clears_the_fields_of_its_mask(town: Identity) -> None:
    person = await town.sign_up()
    notifications = Struct()
    notifications.update({"mail": {"weekly": True, "at": 7.5}, "quiet": ["22:00", None]})
    change = UserSettings(
        app_theme=APP_THEME_DARK,
        prefers_assistive_learning=True,
        notifications=notifications,
        keep_practice_history=True,
    )
    changed = await update(town, person, change)
    assert (changed.app_theme, changed.notifications) == (APP_THEME_DARK, notifications)
    assert (changed.prefers_assistive_learning, changed.keep_practice_history) == (True, True)
    assert changed == await town.users.GetSettings(MINE, **person.auth)
    cleared = await update(town, person, UserSettings(), "notifications", "keep_practice_history")
    assert (cleared.app_theme, cleared.notifications) == (APP_THEME_DARK, Struct())
    assert not cleared.keep_practice_history
    assert len({"0", changed.etag, cleared.etag}) == 3


async def test_only_settings_that_other_services_need_are_published(town: Identity) -> None:
    person = await town.sign_up()
    kolkata = {"time_zone": "Asia/Kolkata", "keep_practice_history": False}
    await update(town, person, UserSettings(app_theme=APP_THEME_DARK, time_zone="UTC"))
    assert published_settings(town, person) == []
    await update(town, person, UserSettings(time_zone="Asia/Kolkata"))
    published = published_settings(town, person)
    assert published == [kolkata]
    await update(town, person, UserSettings(time_zone="Asia/Kolkata", prefers_assistive_learning=True))
    assert published_settings(town, person) == published


async def test_only_the_last_published_settings_are_kept_and_none_after_erasure(town: Identity) -> None:
    person = await town.sign_up()
    await update(town, person, UserSettings(time_zone="Asia/Kolkata"))
    await update(town, person, UserSettings(keep_practice_history=True))
    await update(town, person, UserSettings(), "time_zone")
    assert published_settings(town, person) == [{"time_zone": "UTC", "keep_practice_history": True}]
    await town.users.EraseUser(EraseUserRequest(user_id="me", confirmation="ERASE"), **person.auth)
    assert published_settings(town, person) == []


async def test_of_concurrent_first_updates_with_the_default_etag_one_succeeds(town: Identity) -> None:
    person = await town.sign_up()
    zones = ["Asia/Kolkata", "Asia/Tokyo", "Europe/Lisbon", "America/Lima", "Africa/Lagos"]
    requests = [
        UpdateSettingsRequest(user_id="me", settings=UserSettings(time_zone=zone), etag="0") for zone in zones
    ]
    outcomes = await asyncio.gather(
        *(town.users.UpdateSettings(request, **person.auth) for request in requests), return_exceptions=True
    )
    [updated] = [outcome for outcome in outcomes if isinstance(outcome, UserSettings)]
    assert updated == await town.users.GetSettings(MINE, **person.auth)
    assert [item["time_zone"] for item in published_settings(town, person)] == [updated.time_zone]
    denied = await expect_error(town.users.UpdateSettings(requests[0], **person.auth))
    assert (denied.code, denied.reason, denied.metadata) == (
        "ABORTED",
        "ETAG_MISMATCH",
        {"current": updated.etag},
    )


async def test_concurrent_updates_of_different_settings_all_succeed(town: Identity) -> None:
    person = await town.sign_up()
    changes = [
        UserSettings(app_theme=APP_THEME_DARK),
        UserSettings(time_zone="Asia/Kolkata"),
        UserSettings(keep_practice_history=True),
    ]
    await asyncio.gather(*(update(town, person, change) for change in changes))
    settings = await town.users.GetSettings(MINE, **person.auth)
    assert (settings.app_theme, settings.time_zone) == (APP_THEME_DARK, "Asia/Kolkata")
    assert settings.keep_practice_history
    last = published_settings(town, person)[-1]
    assert last == {"time_zone": "Asia/Kolkata", "keep_practice_history": True}


async def test_invalid_settings_are_refused_and_nothing_changes(town: Identity) -> None:
    person = await town.sign_up()
    long = Struct()
    long.update({"a": "x" * 20_000})
    for change, field in (
        (UserSettings(time_zone="Kolkata", app_theme=APP_THEME_DARK), "settings.time_zone"),
        (UserSettings(notifications=long, app_theme=APP_THEME_DARK), "settings.notifications"),
    ):
        denied = await expect_error(update(town, person, change))
        assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")
        assert [item.field for item in denied.detail(BadRequest).field_violations] == [field]
    assert (await town.users.GetSettings(MINE, **person.auth)).etag == "0"


async def test_settings_are_read_by_owner_and_administrators_and_changed_by_the_owner(town: Identity) -> None:
    person, stranger, admin = await town.sign_up(), await town.sign_up(), await town.sign_up_admin()
    theirs = GetSettingsRequest(user_id=person.user_id)
    change = UpdateSettingsRequest(user_id=person.user_id, settings=UserSettings(time_zone="Asia/Tokyo"))
    assert (await expect_error(town.users.GetSettings(theirs, **stranger.auth))).reason == "ACCESS_DENIED"
    for other in (stranger, admin):
        assert (await expect_error(town.users.UpdateSettings(change, **other.auth))).reason == "ACCESS_DENIED"
    assert (await town.users.GetSettings(theirs, **admin.auth)).time_zone == "UTC"
    await town.users.EraseUser(EraseUserRequest(user_id="me", confirmation="ERASE"), **stranger.auth)
    for missing in (str(uuid.uuid4()), stranger.user_id):
        denied = await expect_error(town.users.GetSettings(GetSettingsRequest(user_id=missing), **admin.auth))
        assert (denied.code, denied.reason) == ("NOT_FOUND", "USER_NOT_FOUND")


async def update(town: Identity, person: Person, change: UserSettings, *mask: str) -> UserSettings:
    request = UpdateSettingsRequest(user_id="me", settings=change, update_mask=FieldMask(paths=mask))
    return await town.users.UpdateSettings(request, **person.auth)


def published_settings(town: Identity, person: Person) -> list[dict[str, Any]]:
    """Returns the settings of a user in the account feed."""
    query = """
        SELECT body - 'user_id' FROM account_events
        WHERE kind = 'settings_changed' AND body ->> 'user_id' = %s AND permanent ORDER BY sequence
    """
    with psycopg.connect(town.database_url) as connection:
        return [body for [body] in connection.execute(query, [person.user_id])]
