"""Idempotency: one request_id has one effect."""

import asyncio
import uuid
from typing import Any

import pytest

from chassis.database import Database
from chassis.testing import TestEnvironment, bearer, expect_error
from chassis.tests.conftest import Probe
from chassis.tests.tables import COUNT


@pytest.fixture
def me(env: TestEnvironment) -> dict[str, Any]:
    return bearer(env.issuer.token(str(uuid.uuid4())))


async def test_concurrent_repetitions_have_one_effect_and_equal_responses(
    stub: Any, probe: Probe, database: Database, me: dict[str, Any]
) -> None:
    request = probe.messages.CreateNoteRequest(user_id="me", text="once", request_id=str(uuid.uuid4()))
    responses = await asyncio.gather(*(stub.CreateNote(request, **me) for _ in range(20)))
    assert [response.text for response in responses] == ["once"] * 20
    assert (await stub.CreateNote(request, **me)).text == "once"
    assert await database.one(COUNT) == 1


async def test_upper_and_lower_case_request_ids_are_equal(
    stub: Any, probe: Probe, database: Database, me: dict[str, Any]
) -> None:
    request = probe.messages.CreateNoteRequest(user_id="me", text="once", request_id=str(uuid.uuid4()))
    await stub.CreateNote(request, **me)
    request.request_id = request.request_id.upper()
    await stub.CreateNote(request, **me)
    assert await database.one(COUNT) == 1


async def test_calls_without_a_request_id_are_independent(
    stub: Any, probe: Probe, database: Database, me: dict[str, Any]
) -> None:
    for _ in range(2):
        await stub.CreateNote(probe.messages.CreateNoteRequest(user_id="me", text="again"), **me)
    assert await database.one(COUNT) == 2


async def test_a_request_id_of_a_different_request_is_refused(
    stub: Any, probe: Probe, database: Database, me: dict[str, Any]
) -> None:
    request = probe.messages.CreateNoteRequest(user_id="me", text="one", request_id=str(uuid.uuid4()))
    await stub.CreateNote(request, **me)
    request.text = "another"
    denied = await expect_error(stub.CreateNote(request, **me))
    assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")
    assert denied.metadata == {"request_id": request.request_id}
    assert await database.one(COUNT) == 1


async def test_two_users_may_use_the_same_request_id(
    stub: Any, probe: Probe, database: Database, env: TestEnvironment, me: dict[str, Any]
) -> None:
    request = probe.messages.CreateNoteRequest(user_id="me", text="mine", request_id=str(uuid.uuid4()))
    await stub.CreateNote(request, **me)
    await stub.CreateNote(request, **bearer(env.issuer.token(str(uuid.uuid4()))))
    assert await database.one(COUNT) == 2


@pytest.mark.parametrize(
    ("text", "code", "reason"),
    [("internal error", "INTERNAL", "INTERNAL"), ("denied", "PERMISSION_DENIED", "ACCESS_DENIED")],
)
async def test_a_failed_write_has_no_effect_and_can_be_repeated(
    stub: Any, probe: Probe, database: Database, me: dict[str, Any], text: str, code: str, reason: str
) -> None:
    request = probe.messages.CreateNoteRequest(user_id="me", text=text, request_id=str(uuid.uuid4()))
    for _ in range(2):
        denied = await expect_error(stub.CreateNote(request, **me))
        assert (denied.code, denied.reason) == (code, reason)
    assert "ZeroDivision" not in str(denied.status)
    assert await database.one(COUNT) == 0
    request.text = "better"
    assert (await stub.CreateNote(request, **me)).text == "better"
