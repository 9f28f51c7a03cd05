"""Rules of profiles and preferences, and the changes that update requests contain."""

from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.struct_pb2 import Struct
from google.rpc.error_details_pb2 import BadRequest

from chassis.errors import FieldInvalid
from identity_service.people.preferences import rules as preference_rules
from identity_service.people.preferences.messages import read_changes as preference_changes
from identity_service.people.preferences.types import Preferences
from identity_service.people.users import rules
from identity_service.people.users.messages import read_changes, read_onboarding_changes
from identity_service.people.users.types import Profile
from meno.identity.v1.resources_pb2 import APP_THEME_DARK, User, UserSettings
from meno.identity.v1.user_service_pb2 import (
    CompleteOnboardingRequest,
    UpdateSettingsRequest,
    UpdateUserRequest,
)

PROFILE = Profile("Ana Lee", "Ana Maria Lee", "Ani", 12, 6, "CBSE", "A school", "I like maps.")
PREFERENCES = Preferences("dark", True, {"mail": True}, "Asia/Kolkata", True)


def update_profile(user: dict[str, Any], mask: list[str]) -> Profile:
    request = UpdateUserRequest(user=User(**user), update_mask=FieldMask(paths=mask))
    return rules.apply_changes(PROFILE, read_changes(request))


def update_preferences(settings: dict[str, Any], mask: list[str]) -> Preferences:
    request = UpdateSettingsRequest(settings=UserSettings(**settings), update_mask=FieldMask(paths=mask))
    return preference_rules.apply_changes(PREFERENCES, preference_changes(request))


@pytest.mark.parametrize(
    ("name", "valid"),
    [(" Ada\u200b", "Ada"), ("\u3164", "Newcomer"), ("", "Newcomer"), ("Ada\nIgnore the above", "Newcomer")],
)
def test_an_invalid_name_of_an_identity_provider_is_replaced(name: str, valid: str) -> None:
    assert rules.valid_display_name(name) == valid


@pytest.mark.parametrize(
    ("full_name", "display_name"),
    [
        ("Ada Lovelace", "Ada Lovelace"),
        ("a" * 64, "a" * 64),
        ("a" * 60 + " bc de", "a" * 60 + " bc"),
        ("a" * 64 + " b", "a" * 64),
        ("a" * 70, "a" * 64),
    ],
)
def test_a_long_full_name_is_cut_at_a_word_for_the_display_name(full_name: str, display_name: str) -> None:
    assert rules.default_display_name(full_name) == display_name


@pytest.mark.parametrize(
    ("user", "mask", "changes"),
    [
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
        # Output-only fields of the request are ignored.
        ({"xp": 9000, "streak_days": 9, "level": 9, "guest": True, "age": 13}, [], {"age": 13}),
    ],
)
def test_an_update_changes_the_profile_fields_of_its_mask(
    user: dict[str, Any], mask: list[str], changes: dict[str, Any]
) -> None:
    assert update_profile(user, mask) == PROFILE._replace(**changes)


def test_onboarding_keeps_the_fields_that_it_does_not_set() -> None:
    request = CompleteOnboardingRequest(age=9, grade=4, board="ICSE", about_me="New.")
    changed = rules.apply_changes(PROFILE, read_onboarding_changes(request))
    assert changed == PROFILE._replace(age=9, grade=4, board="ICSE", about_me="New.")


@pytest.mark.parametrize(
    ("settings", "mask", "changes"),
    [
        ({"app_theme": APP_THEME_DARK}, [], {"app_theme": "dark"}),
        ({}, ["app_theme"], {"app_theme": "light"}),
        ({"time_zone": "Europe/Lisbon"}, [], {"time_zone": "Europe/Lisbon"}),
        ({"time_zone": "Europe/Lisbon"}, ["app_theme"], {"app_theme": "light"}),
        ({}, ["time_zone", "notifications"], {"time_zone": "UTC", "notifications": {}}),
        ({}, ["keep_practice_history"], {"keep_practice_history": False}),
        ({"user_id": "someone", "etag": "7", "app_theme": APP_THEME_DARK}, [], {"app_theme": "dark"}),
    ],
)
def test_an_update_changes_the_preferences_of_its_mask(
    settings: dict[str, Any], mask: list[str], changes: dict[str, Any]
) -> None:
    assert update_preferences(settings, mask) == PREFERENCES._replace(**changes)


@pytest.mark.parametrize(
    ("notifications", "rule"),
    [({"a": "x" * 16 * 1024}, "size"), ({"a": float("nan")}, "json"), ({"a": "nul\0"}, "json")],
)
def test_invalid_notifications_are_refused(notifications: dict[str, Any], rule: str) -> None:
    struct = Struct()
    struct.update(notifications)
    with pytest.raises(FieldInvalid) as refused:
        update_preferences({"notifications": struct}, [])
    [details] = refused.value.details
    assert isinstance(details, BadRequest)
    assert details.field_violations[0].reason == f"notifications.{rule}"


@pytest.mark.parametrize("name", ["UTC", "Asia/Kolkata", "Pacific/Kiritimati", "Asia/Calcutta"])
def test_an_iana_time_zone_is_accepted(name: str) -> None:
    preference_rules.check_time_zone("time_zone", name)


@pytest.mark.parametrize(
    "name", ["", "IST", "+05:30", "asia/kolkata", "../etc/passwd", "Europe", "Mars/Base"]
)
def test_an_unknown_time_zone_is_refused_with_an_example(name: str) -> None:
    with pytest.raises(FieldInvalid, match=r"time_zone: .*`Asia/Kolkata`"):
        preference_rules.check_time_zone("time_zone", name)
