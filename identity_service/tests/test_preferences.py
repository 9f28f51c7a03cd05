"""Settings, over gRPC."""

import asyncio
import uuid
from typing import Any

import psycopg
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.struct_pb2 import Struct
from google.rpc.error_details_pb2 import BadRequest

from chassis.testing import refused
from identity_service.tests.conftest import Identity, Person
from meno.identity.v1.user_service_pb2 import (
    APP_THEME_DARK,
    APP_THEME_LIGHT,
    EraseUserRequest,
    GetSettingsRequest,
    UpdateSettingsRequest,
    UserSettings,
)

MINE = GetSettingsRequest(user_id="me")


async def test_settings_that_nobody_changed_are_the_defaults_and_nothing_is_stored(town: Identity) -> None:
    person = await town.sign_up()
    settings = await town.users.GetSettings(MINE, **person.auth)
    assert settings == UserSettings(
        user_id=person.user_id, app_theme=APP_THEME_LIGHT, notifications=Struct(), time_zone="UTC", etag="0"
    )
    with psycopg.connect(town.database_url) as connection:
        stored = connection.execute("SELECT 1 FROM user_settings WHERE user_id = %s", [person.user_id])
        assert stored.fetchone() is None


async def test_settings_are_kept_as_they_were_given(town: Identity) -> None:
    person = await town.sign_up()
    told = Struct()
    told.update({"mail": {"weekly": True, "at": 7.5}, "quiet": ["22:00", None]})
    wish = UserSettings(
        app_theme=APP_THEME_DARK,
        prefers_assistive_learning=True,
        notifications=told,
        keep_practice_history=True,
    )
    changed = await change(town, person, wish)
    assert (changed.app_theme, changed.notifications) == (APP_THEME_DARK, told)
    assert (changed.prefers_assistive_learning, changed.keep_practice_history) == (True, True)
    assert changed == await town.users.GetSettings(MINE, **person.auth)
    cleared = await change(town, person, UserSettings(), "notifications", "keep_practice_history")
    assert (cleared.app_theme, cleared.notifications) == (APP_THEME_DARK, Struct())
    assert not cleared.keep_practice_history
    assert len({"0", changed.etag, cleared.etag}) == 3


async def test_other_services_are_told_what_they_need_and_no_more(town: Identity) -> None:
    person = await town.sign_up()
    kolkata = {"time_zone": "Asia/Kolkata", "keep_practice_history": False}
    await change(town, person, UserSettings(app_theme=APP_THEME_DARK, time_zone="UTC"))
    assert told_to_others(town, person) == []
    await change(town, person, UserSettings(time_zone="Asia/Kolkata"))
    told = told_to_others(town, person)
    assert told == [kolkata]
    await change(town, person, UserSettings(time_zone="Asia/Kolkata", prefers_assistive_learning=True))
    assert told_to_others(town, person) == told


async def test_of_what_others_are_told_the_last_is_kept_until_the_erasure(town: Identity) -> None:
    person = await town.sign_up()
    await change(town, person, UserSettings(time_zone="Asia/Kolkata"))
    await change(town, person, UserSettings(keep_practice_history=True))
    await change(town, person, UserSettings(), "time_zone")
    assert told_to_others(town, person) == [{"time_zone": "UTC", "keep_practice_history": True}]
    await town.users.EraseUser(EraseUserRequest(user_id="me", confirmation="ERASE"), **person.auth)
    assert told_to_others(town, person) == []


async def test_of_first_changes_at_once_that_know_the_defaults_one_is_made(town: Identity) -> None:
    person = await town.sign_up()
    zones = ["Asia/Kolkata", "Asia/Tokyo", "Europe/Lisbon", "America/Lima", "Africa/Lagos"]
    requests = [
        UpdateSettingsRequest(user_id="me", settings=UserSettings(time_zone=zone), etag="0") for zone in zones
    ]
    outcomes = await asyncio.gather(
        *(town.users.UpdateSettings(request, **person.auth) for request in requests), return_exceptions=True
    )
    [made] = [outcome for outcome in outcomes if isinstance(outcome, UserSettings)]
    assert made == await town.users.GetSettings(MINE, **person.auth)
    assert [one["time_zone"] for one in told_to_others(town, person)] == [made.time_zone]
    denied = await refused(town.users.UpdateSettings(requests[0], **person.auth))
    assert (denied.code, denied.reason, denied.metadata) == ("ABORTED", "ETAG_MISMATCH", {"etag": made.etag})


async def test_changes_of_different_settings_at_once_are_all_made(town: Identity) -> None:
    person = await town.sign_up()
    wishes = [
        UserSettings(app_theme=APP_THEME_DARK),
        UserSettings(time_zone="Asia/Kolkata"),
        UserSettings(keep_practice_history=True),
    ]
    await asyncio.gather(*(change(town, person, wish) for wish in wishes))
    settings = await town.users.GetSettings(MINE, **person.auth)
    assert (settings.app_theme, settings.time_zone) == (APP_THEME_DARK, "Asia/Kolkata")
    assert settings.keep_practice_history
    last = told_to_others(town, person)[-1]
    assert last == {"time_zone": "Asia/Kolkata", "keep_practice_history": True}


async def test_what_cannot_be_stored_is_refused_and_nothing_changes(town: Identity) -> None:
    person = await town.sign_up()
    long = Struct()
    long.update({"a": "x" * 20_000})
    for wish, field in (
        (UserSettings(time_zone="Kolkata", app_theme=APP_THEME_DARK), "settings.time_zone"),
        (UserSettings(notifications=long, app_theme=APP_THEME_DARK), "settings.notifications"),
    ):
        denied = await refused(change(town, person, wish))
        assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")
        assert [one.field for one in denied.detail(BadRequest).field_violations] == [field]
    assert (await town.users.GetSettings(MINE, **person.auth)).etag == "0"


async def test_settings_are_for_their_owner_and_administrators_read_them(town: Identity) -> None:
    person, stranger, admin = await town.sign_up(), await town.sign_up(), await town.sign_up_admin()
    theirs = GetSettingsRequest(user_id=person.user_id)
    wish = UpdateSettingsRequest(user_id=person.user_id, settings=UserSettings(time_zone="Asia/Tokyo"))
    assert (await refused(town.users.GetSettings(theirs, **stranger.auth))).reason == "ACCESS_DENIED"
    for other in (stranger, admin):
        assert (await refused(town.users.UpdateSettings(wish, **other.auth))).reason == "ACCESS_DENIED"
    assert (await town.users.GetSettings(theirs, **admin.auth)).time_zone == "UTC"
    await town.users.EraseUser(EraseUserRequest(user_id="me", confirmation="ERASE"), **stranger.auth)
    for nobody in (str(uuid.uuid4()), stranger.user_id):
        denied = await refused(town.users.GetSettings(GetSettingsRequest(user_id=nobody), **admin.auth))
        assert (denied.code, denied.reason) == ("NOT_FOUND", "USER_NOT_FOUND")


async def change(town: Identity, person: Person, wish: UserSettings, *mask: str) -> UserSettings:
    request = UpdateSettingsRequest(user_id="me", settings=wish, update_mask=FieldMask(paths=mask))
    return await town.users.UpdateSettings(request, **person.auth)


def told_to_others(town: Identity, person: Person) -> list[dict[str, Any]]:
    """What the account feed says of a person's settings."""
    query = """
        SELECT body - 'user_id' FROM account_events
        WHERE kind = 'settings_changed' AND body ->> 'user_id' = %s AND lasting ORDER BY sequence
    """
    with psycopg.connect(town.database_url) as connection:
        return [body for [body] in connection.execute(query, [person.user_id])]
