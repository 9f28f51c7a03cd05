"""Configuration, over gRPC."""

import asyncio
import uuid
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from google.rpc.error_details_pb2 import BadRequest

from chassis.testing import expect_error, read_pages
from identity_service.tests.conftest import Identity
from meno.identity.v1.admin_service_pb2 import (
    GetConfigEntryRequest,
    ListConfigEntriesRequest,
    SetConfigEntryRequest,
)


async def test_every_key_has_a_default_and_a_description(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    pages = read_pages(identity.admin.ListConfigEntries, ListConfigEntriesRequest(page_size=3), **admin.auth)
    entries = [entry async for page in pages for entry in page.entries]
    keys = [entry.key for entry in entries]
    assert keys == sorted({*keys})
    for entry in entries:
        assert (entry.value, bool(entry.description), entry.etag) == (entry.default_value, True, "0")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("signup_role", "UNASSIGNED"),
        ("allowed_roles", ["STUDENT"]),
        ("allowed_roles", []),
        ("sign_up_enabled", False),
        ("user_purge_days", 90),
    ],
)
async def test_a_value_is_effective_until_it_is_reset(identity: Identity, key: str, value: Any) -> None:
    admin = await identity.sign_up_admin()
    changed = await identity.set_config(admin, key, value)
    found = await identity.admin.GetConfigEntry(GetConfigEntryRequest(key=key), **admin.auth)
    assert found == changed
    assert MessageToDict(found.value) == value
    assert found.update_user_id == admin.user_id
    reset = await identity.admin.SetConfigEntry(SetConfigEntryRequest(key=key), **admin.auth)
    assert (reset.value, reset.etag) == (reset.default_value, "0")


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("signup_role", "ADMIN", "one of UNASSIGNED, STUDENT, TEACHER"),
        ("signup_role", 3, "one of"),
        ("allowed_roles", ["ADMIN"], "contains only"),
        ("allowed_roles", "STUDENT", "a list"),
        ("sign_up_enabled", "yes", "true or false"),
        ("sign_up_enabled", 1, "true or false"),
        ("user_purge_days", 0, "from 1 to 3650"),
        ("user_purge_days", 1.5, "whole number"),
        ("user_purge_days", None, "whole number"),
    ],
)
async def test_an_invalid_value_is_refused_with_the_rule(
    identity: Identity, key: str, value: Any, rule: str
) -> None:
    admin = await identity.sign_up_admin()
    denied = await expect_error(identity.set_config(admin, key, value))
    [violation] = denied.detail(BadRequest).field_violations
    assert (denied.reason, violation.field) == ("FIELD_INVALID", "value")
    assert rule in violation.description


async def test_an_unknown_key_is_refused(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    denied = await expect_error(identity.set_config(admin, "colour", "red"))
    assert (denied.code, denied.reason, denied.metadata) == (
        "NOT_FOUND",
        "CONFIG_KEY_NOT_FOUND",
        {"key": "colour"},
    )


async def test_of_concurrent_changes_with_one_etag_one_succeeds(identity: Identity) -> None:
    admin = await identity.sign_up_admin()

    async def attempt(days: int) -> str:
        try:
            await identity.set_config(admin, "user_purge_days", days, etag="0", request_id=str(uuid.uuid4()))
        except Exception as error:
            return type(error).__name__
        return "set"

    outcomes = await asyncio.gather(*(attempt(days) for days in range(1, 11)))
    assert outcomes.count("set") == 1


async def test_a_change_is_audited_without_its_value(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    await identity.set_config(admin, "sign_up_enabled", False)
    entry = (await identity.list_audited(admin, actor_user_id=admin.user_id))[0]
    assert (entry.action, dict(entry.details)) == (60, {"key": "sign_up_enabled"})


async def test_only_administrators_can_change_the_configuration(identity: Identity) -> None:
    teacher = await identity.sign_up_teacher()
    assert (
        await expect_error(identity.set_config(teacher, "sign_up_enabled", False))
    ).reason == "ACCESS_DENIED"
