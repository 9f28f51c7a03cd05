"""What administrators configure."""

import asyncio
import uuid
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Value
from google.rpc.error_details_pb2 import BadRequest

from chassis.testing import refused
from identity_service.tests.conftest import Identity, Person
from meno.identity.v1.admin_service_pb2 import (
    ConfigEntry,
    GetConfigEntryRequest,
    ListConfigEntriesRequest,
    SetConfigEntryRequest,
)


async def put(identity: Identity, admin: Person, key: str, value: Any, **values: str) -> ConfigEntry:
    request = SetConfigEntryRequest(key=key, value=ParseDict(value, Value()), **values)
    return await identity.admin.SetConfigEntry(request, **admin.auth)


async def test_every_key_has_a_default_and_a_description(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    token, entries = "", list[ConfigEntry]()
    while True:
        request = ListConfigEntriesRequest(page_size=3, page_token=token)
        page = await identity.admin.ListConfigEntries(request, **admin.auth)
        entries += page.entries
        token = page.next_page_token
        if not token:
            break
    keys = [entry.key for entry in entries]
    assert keys == sorted({*keys})
    for entry in entries:
        assert (entry.value, bool(entry.description), entry.etag) == (entry.default_value, True, "0")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("signup_role", "UNASSIGNED"),
        ("offered_roles", ["STUDENT"]),
        ("offered_roles", []),
        ("sign_up_open", False),
        ("user_purge_days", 90),
    ],
)
async def test_what_is_set_holds_until_it_is_taken_back(identity: Identity, key: str, value: Any) -> None:
    admin = await identity.sign_up_admin()
    made = await put(identity, admin, key, value)
    found = await identity.admin.GetConfigEntry(GetConfigEntryRequest(key=key), **admin.auth)
    assert found == made
    assert MessageToDict(found.value) == value
    assert found.update_user_id == admin.user_id
    back = await identity.admin.SetConfigEntry(SetConfigEntryRequest(key=key), **admin.auth)
    assert (back.value, back.etag) == (back.default_value, "0")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("signup_role", "ADMIN", "one of UNASSIGNED, STUDENT, TEACHER"),
        ("signup_role", 3, "one of"),
        ("offered_roles", ["ADMIN"], "some of"),
        ("offered_roles", "STUDENT", "a list"),
        ("sign_up_open", "yes", "true or false"),
        ("sign_up_open", 1, "true or false"),
        ("user_purge_days", 0, "from 1 to 3650"),
        ("user_purge_days", 1.5, "whole number"),
        ("user_purge_days", None, "whole number"),
    ],
)
async def test_a_value_of_another_kind_is_refused_with_what_is_expected(
    identity: Identity, key: str, value: Any, said: str
) -> None:
    admin = await identity.sign_up_admin()
    denied = await refused(put(identity, admin, key, value))
    [violation] = denied.detail(BadRequest).field_violations
    assert (denied.reason, violation.field) == ("FIELD_INVALID", "value")
    assert said in violation.description


async def test_an_unknown_key_is_refused(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    denied = await refused(put(identity, admin, "colour", "red"))
    assert (denied.code, denied.reason, denied.metadata) == (
        "NOT_FOUND",
        "CONFIG_KEY_UNKNOWN",
        {"key": "colour"},
    )


async def test_of_several_who_set_what_they_read_one_wins(identity: Identity) -> None:
    admin = await identity.sign_up_admin()

    async def attempt(days: int) -> str:
        try:
            await put(identity, admin, "user_purge_days", days, etag="0", request_id=str(uuid.uuid4()))
        except Exception as error:
            return type(error).__name__
        return "won"

    outcomes = await asyncio.gather(*(attempt(days) for days in range(1, 11)))
    assert outcomes.count("won") == 1


async def test_what_is_set_is_audited_without_its_value(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    await put(identity, admin, "sign_up_open", False)
    entry = (await identity.audited(admin, actor_user_id=admin.user_id))[0]
    assert (entry.action, dict(entry.details)) == (60, {"key": "sign_up_open"})


async def test_only_administrators_configure(identity: Identity) -> None:
    teacher = await identity.sign_up_teacher()
    assert (await refused(put(identity, teacher, "sign_up_open", False))).reason == "ACCESS_DENIED"
