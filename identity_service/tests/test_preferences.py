"""Settings of users, over gRPC."""

import asyncio
import uuid
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.struct_pb2 import Struct
from google.rpc.error_details_pb2 import BadRequest

from chassis.testing import expect_error
from identity_service.tests.conftest import Identity, Person
from meno.identity.v1.resources_pb2 import APP_THEME_DARK, APP_THEME_LIGHT, UserSettings
from meno.identity.v1.user_service_pb2 import EraseUserRequest, GetSettingsRequest, UpdateSettingsRequest

MINE = GetSettingsRequest(user_id="me")


async def test_unchanged_settings_are_the_defaults_and_are_not_stored(shared: Identity) -> None:
    person = await shared.sign_up()
    settings = await shared.users.GetSettings(MINE, **person.auth)
    assert settings == UserSettings(
        user_id=person.user_id, app_theme=APP_THEME_LIGHT, notifications=Struct(), time_zone="UTC", etag="0"
    )
    assert not shared.execute_sql("SELECT FROM user_settings WHERE user_id = %s", person.user_id)


async def test_an_update_sets_and_clears_the_fields_of_its_mask(shared: Identity) -> None:
    person = await shared.sign_up()
    notifications = Struct()
    notifications.update({"mail": {"weekly": True, "at": 7.5}, "quiet": ["22:00", None]})
    change = UserSettings(
        app_theme=APP_THEME_DARK,
        prefers_assistive_learning=True,
        notifications=notifications,
        keep_practice_history=True,
    )
    changed = await update(shared, person, change)
    assert (changed.app_theme, changed.notifications) == (APP_THEME_DARK, notifications)
    assert (changed.prefers_assistive_learning, changed.keep_practice_history) == (True, True)
    assert changed == await shared.users.GetSettings(MINE, **person.auth)
    cleared = await update(shared, person, UserSettings(), "notifications", "keep_practice_history")
    assert (cleared.app_theme, cleared.notifications) == (APP_THEME_DARK, Struct())
    assert not cleared.keep_practice_history
    assert len({"0", changed.etag, cleared.etag}) == 3


async def test_only_settings_that_other_services_need_are_published(shared: Identity) -> None:
    person = await shared.sign_up()
    kolkata = {"time_zone": "Asia/Kolkata", "keep_practice_history": False}
    await update(shared, person, UserSettings(app_theme=APP_THEME_DARK, time_zone="UTC"))
    assert published_settings(shared, person) == []
    await update(shared, person, UserSettings(time_zone="Asia/Kolkata"))
    published = published_settings(shared, person)
    assert published == [kolkata]
    await update(shared, person, UserSettings(time_zone="Asia/Kolkata", prefers_assistive_learning=True))
    assert published_settings(shared, person) == published


async def test_only_the_last_published_settings_are_kept_and_none_after_erasure(shared: Identity) -> None:
    person = await shared.sign_up()
    await update(shared, person, UserSettings(time_zone="Asia/Kolkata"))
    await update(shared, person, UserSettings(keep_practice_history=True))
    await update(shared, person, UserSettings(), "time_zone")
    assert published_settings(shared, person) == [{"time_zone": "UTC", "keep_practice_history": True}]
    await shared.users.EraseUser(EraseUserRequest(user_id="me", confirmation="ERASE"), **person.auth)
    assert published_settings(shared, person) == []


async def test_of_concurrent_first_updates_with_the_default_etag_one_succeeds(shared: Identity) -> None:
    person = await shared.sign_up()
    zones = ["Asia/Kolkata", "Asia/Tokyo", "Europe/Lisbon", "America/Lima", "Africa/Lagos"]
    requests = [
        UpdateSettingsRequest(user_id="me", settings=UserSettings(time_zone=zone), etag="0") for zone in zones
    ]
    outcomes = await asyncio.gather(
        *(shared.users.UpdateSettings(request, **person.auth) for request in requests), return_exceptions=True
    )
    [updated] = [outcome for outcome in outcomes if isinstance(outcome, UserSettings)]
    assert updated == await shared.users.GetSettings(MINE, **person.auth)
    assert [item["time_zone"] for item in published_settings(shared, person)] == [updated.time_zone]
    denied = await expect_error(shared.users.UpdateSettings(requests[0], **person.auth))
    assert (denied.code, denied.reason, denied.metadata) == (
        "ABORTED",
        "ETAG_MISMATCH",
        {"current": updated.etag},
    )


async def test_concurrent_updates_of_different_settings_all_succeed(shared: Identity) -> None:
    person = await shared.sign_up()
    changes = [
        UserSettings(app_theme=APP_THEME_DARK),
        UserSettings(time_zone="Asia/Kolkata"),
        UserSettings(keep_practice_history=True),
    ]
    await asyncio.gather(*(update(shared, person, change) for change in changes))
    settings = await shared.users.GetSettings(MINE, **person.auth)
    assert (settings.app_theme, settings.time_zone) == (APP_THEME_DARK, "Asia/Kolkata")
    assert settings.keep_practice_history
    last = published_settings(shared, person)[-1]
    assert last == {"time_zone": "Asia/Kolkata", "keep_practice_history": True}


async def test_invalid_settings_are_refused_and_nothing_changes(shared: Identity) -> None:
    person = await shared.sign_up()
    long = Struct()
    long.update({"a": "x" * 20_000})
    for change, field in (
        (UserSettings(time_zone="Kolkata", app_theme=APP_THEME_DARK), "settings.time_zone"),
        (UserSettings(notifications=long, app_theme=APP_THEME_DARK), "settings.notifications"),
    ):
        denied = await expect_error(update(shared, person, change))
        assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")
        assert [item.field for item in denied.detail(BadRequest).field_violations] == [field]
    assert (await shared.users.GetSettings(MINE, **person.auth)).etag == "0"


async def test_settings_are_read_by_owner_and_administrators_and_changed_by_the_owner(
    shared: Identity,
) -> None:
    person, stranger, admin = await shared.sign_up(), await shared.sign_up(), await shared.sign_up_admin()
    theirs = GetSettingsRequest(user_id=person.user_id)
    change = UpdateSettingsRequest(user_id=person.user_id, settings=UserSettings(time_zone="Asia/Tokyo"))
    assert (await expect_error(shared.users.GetSettings(theirs, **stranger.auth))).reason == "ACCESS_DENIED"
    for other in (stranger, admin):
        assert (
            await expect_error(shared.users.UpdateSettings(change, **other.auth))
        ).reason == "ACCESS_DENIED"
    assert (await shared.users.GetSettings(theirs, **admin.auth)).time_zone == "UTC"
    await shared.users.EraseUser(EraseUserRequest(user_id="me", confirmation="ERASE"), **stranger.auth)
    for missing in (str(uuid.uuid4()), stranger.user_id):
        denied = await expect_error(
            shared.users.GetSettings(GetSettingsRequest(user_id=missing), **admin.auth)
        )
        assert (denied.code, denied.reason) == ("NOT_FOUND", "USER_NOT_FOUND")


async def update(shared: Identity, person: Person, change: UserSettings, *mask: str) -> UserSettings:
    request = UpdateSettingsRequest(user_id="me", settings=change, update_mask=FieldMask(paths=mask))
    return await shared.users.UpdateSettings(request, **person.auth)


def published_settings(shared: Identity, person: Person) -> list[dict[str, Any]]:
    """Returns the settings of a user in the account feed."""
    query = """
        SELECT body - 'user_id' FROM account_events
        WHERE kind = 'settings_changed' AND body ->> 'user_id' = %s AND permanent ORDER BY sequence
    """
    return shared.read_column(query, person.user_id)
