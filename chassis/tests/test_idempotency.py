"""One request_id, one effect."""

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


async def test_twenty_at_once_have_one_effect_and_equal_answers(
    stub: Any, probe: Probe, database: Database, me: dict[str, Any]
) -> None:
    request = probe.messages.Noted(user_id="me", text="once", request_id=str(uuid.uuid4()))
    answers = await asyncio.gather(*(stub.Note(request, **me) for _ in range(20)))
    assert [answer.text for answer in answers] == ["once"] * 20
    assert (await stub.Note(request, **me)).text == "once"
    assert await database.one(COUNT) == 1


async def test_an_id_is_the_same_however_it_is_spelled(
    stub: Any, probe: Probe, database: Database, me: dict[str, Any]
) -> None:
    request = probe.messages.Noted(user_id="me", text="once", request_id=str(uuid.uuid4()))
    await stub.Note(request, **me)
    request.request_id = request.request_id.upper()
    await stub.Note(request, **me)
    assert await database.one(COUNT) == 1


async def test_without_a_request_id_every_call_counts(
    stub: Any, probe: Probe, database: Database, me: dict[str, Any]
) -> None:
    for _ in range(2):
        await stub.Note(probe.messages.Noted(user_id="me", text="again"), **me)
    assert await database.one(COUNT) == 2


async def test_the_same_id_for_another_request_is_refused(
    stub: Any, probe: Probe, database: Database, me: dict[str, Any]
) -> None:
    request = probe.messages.Noted(user_id="me", text="one", request_id=str(uuid.uuid4()))
    await stub.Note(request, **me)
    request.text = "another"
    denied = await expect_error(stub.Note(request, **me))
    assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")
    assert denied.metadata == {"request_id": request.request_id}
    assert await database.one(COUNT) == 1


async def test_two_people_may_choose_the_same_id(
    stub: Any, probe: Probe, database: Database, env: TestEnvironment, me: dict[str, Any]
) -> None:
    request = probe.messages.Noted(user_id="me", text="mine", request_id=str(uuid.uuid4()))
    await stub.Note(request, **me)
    await stub.Note(request, **bearer(env.issuer.token(str(uuid.uuid4()))))
    assert await database.one(COUNT) == 2


@pytest.mark.parametrize(
    ("text", "code", "reason"),
    [("a fault of ours", "INTERNAL", "INTERNAL"), ("refused", "PERMISSION_DENIED", "ACCESS_DENIED")],
)
async def test_what_failed_has_no_effect_and_is_not_remembered(
    stub: Any, probe: Probe, database: Database, me: dict[str, Any], text: str, code: str, reason: str
) -> None:
    request = probe.messages.Noted(user_id="me", text=text, request_id=str(uuid.uuid4()))
    for _ in range(2):
        denied = await expect_error(stub.Note(request, **me))
        assert (denied.code, denied.reason) == (code, reason)
    assert "ZeroDivision" not in str(denied.status)
    assert await database.one(COUNT) == 0
    request.text = "better"
    assert (await stub.Note(request, **me)).text == "better"
