"""Rules of people's profiles and settings."""

from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct
from google.rpc.error_details_pb2 import BadRequest

from chassis.errors import FieldInvalid
from identity_service.people.preferences import rules as settings_rules
from identity_service.people.preferences.store import Settings
from identity_service.people.users import rules
from identity_service.people.users.store import Profile
from meno.identity.v1.user_service_pb2 import (
    APP_THEME_DARK,
    CompleteOnboardingRequest,
    User,
    UserSettings,
)

BEFORE = Profile("Ana Lee", "Ana Maria Lee", "Ani", 12, 6, "CBSE", "A school", "I like maps.")
CHOSEN = Settings("dark", True, {"mail": True}, "Asia/Kolkata", True)


@pytest.mark.parametrize(
    ("wish", "mask", "changed"),
    [
        ({}, [], {}),
        ({"age": 13}, [], {"age": 13}),
        ({"full_name": "Ana L."}, ["full_name"], {"full_name": "Ana L."}),
        ({"full_name": "Ana L.", "age": 13}, ["full_name"], {"full_name": "Ana L."}),
        ({}, ["age", "grade"], {"age": None, "grade": None}),
        ({}, ["board", "school_name", "about_me"], {"board": "", "school_name": "", "about_me": ""}),
        ({}, ["nickname"], {"nickname": "Ana"}),
        (
            {"display_name": "Bo Li"},
            ["display_name", "nickname"],
            {"display_name": "Bo Li", "nickname": "Bo"},
        ),
        ({"display_name": "Bo Li"}, [], {"display_name": "Bo Li"}),
        ({}, ["display_name"], {}),
        # What only we write is no part of it, whatever the body says.
        ({"xp": 9000, "streak_days": 9, "level": 9, "guest": True}, [], {}),
    ],
)
def test_a_profile_changes_by_its_mask(
    wish: dict[str, Any], mask: list[str], changed: dict[str, Any]
) -> None:
    assert rules.changed(BEFORE, User(**wish), mask) == BEFORE._replace(**changed)


@pytest.mark.parametrize("field", ["display_name", "nickname", "board"])
def test_white_space_is_no_value(field: str) -> None:
    blank = User()
    setattr(blank, field, "\u2003 ")
    with pytest.raises(FieldInvalid, match=f"user.{field}"):
        rules.changed(BEFORE, blank, [field])


def test_onboarding_leaves_what_it_does_not_tell() -> None:
    given = CompleteOnboardingRequest(age=9, grade=4, board="ICSE", about_me="New.")
    onboarded = rules.onboarded(BEFORE, given)
    assert onboarded == BEFORE._replace(age=9, grade=4, board="ICSE", about_me="New.")


@pytest.mark.parametrize(
    ("wish", "mask", "changed"),
    [
        ({}, [], {}),
        ({"app_theme": APP_THEME_DARK}, [], {"app_theme": "dark"}),
        ({}, ["app_theme"], {"app_theme": "light"}),
        ({"time_zone": "Europe/Lisbon"}, [], {"time_zone": "Europe/Lisbon"}),
        ({}, ["time_zone", "notifications"], {"time_zone": "UTC", "notifications": {}}),
        ({}, ["keep_practice_history"], {"keep_practice_history": False}),
        ({"user_id": "someone", "etag": "7"}, [], {}),
    ],
)
def test_settings_change_by_their_mask(
    wish: dict[str, Any], mask: list[str], changed: dict[str, Any]
) -> None:
    assert settings_rules.changed(CHOSEN, UserSettings(**wish), mask) == CHOSEN._replace(**changed)


@pytest.mark.parametrize(
    ("notifications", "rule"),
    [({"a": "x" * 16 * 1024}, "size"), ({"a": float("nan")}, "json"), ({"a": "nul\0"}, "json")],
)
def test_what_no_notifications_can_be_is_told(notifications: dict[str, Any], rule: str) -> None:
    struct = Struct()
    struct.update(notifications)
    with pytest.raises(FieldInvalid) as refused:
        settings_rules.changed(CHOSEN, UserSettings(notifications=struct), [])
    [details] = refused.value.details
    assert isinstance(details, BadRequest)
    assert details.field_violations[0].reason == f"notifications.{rule}"


@pytest.mark.parametrize("name", ["UTC", "Asia/Kolkata", "Pacific/Kiritimati", "Asia/Calcutta"])
def test_a_time_zone_is_one_that_is_known(name: str) -> None:
    settings_rules.check_zone("time_zone", name)


@pytest.mark.parametrize(
    "name", ["", "IST", "+05:30", "asia/kolkata", "../etc/passwd", "Europe", "Mars/Base"]
)
def test_what_is_no_time_zone_is_refused_with_an_example(name: str) -> None:
    with pytest.raises(FieldInvalid, match=r"time_zone: .*`Asia/Kolkata`"):
        settings_rules.check_zone("time_zone", name)
