"""Every write, sent twenty times at once under one request_id, has one effect and one answer.

The cases are held against the contracts: a write that no case covers fails.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from chassis.testing import expect_error, parse_error
from deploy.gateway.contracts import descriptors, routed_rpcs
from meno.chat.v1.chat_service_pb2 import (
    AskRequest,
)
from meno.content.v1.material_service_pb2 import (
    UploadMaterialRequest,
)
from meno.session.v1.session_service_pb2 import (
    CreateSessionRequest,
)
from tests.end_to_end.writes import CASES
from tests.installation import Installation, new_id
from tests.people import Person

TIMES = 20
LIMITS = {"Ask": 20, "ImportRoster": 10}
"""How often a person may do in a minute what is costly."""


def test_every_write_has_its_case() -> None:
    # Their answers are secret and never stored; they are idempotent by rules of their own, tested with
    # identity_service.
    secret = {"SignUp", "SignIn", "SignInWithIdToken", "RedeemOneTimeCode"}
    assert _writes() - secret == set(CASES)


@pytest.mark.parametrize("rpc", sorted(CASES))
async def test_twenty_at_once_have_one_effect_and_equal_answers(installation: Installation, rpc: str) -> None:
    (method, request, person), count = await CASES[rpc](installation)
    request.request_id = new_id()
    before = await count() if count else 0
    # The last time comes below.
    times = min(TIMES, LIMITS.get(rpc, TIMES + 1) - 1)
    answers = await asyncio.gather(*(_send(method, request, person) for _ in range(times)))
    assert len({str(answer) for answer in answers}) == 1
    if count:
        assert await count() == before + 1
    again = await _send(method, request, person)
    assert str(again) == str(answers[0])


async def test_the_same_id_for_another_request_is_refused(installation: Installation) -> None:
    student = await installation.sign_up_student()
    request = CreateSessionRequest(user_id="me", request_id=new_id())
    await student.sessions.CreateSession(request, **student.auth)
    request.goal.text = "something else"
    denied = await expect_error(student.sessions.CreateSession(request, **student.auth))
    assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")


async def _send(method: Callable[..., Any], request: Any, person: Person) -> Any:
    """The answer of one call, made as clients make it: one that ended a right is repeated with a new token."""
    try:
        return await _answer(method, request, person)
    except grpc.aio.AioRpcError as error:
        if parse_error(error).reason != "TOKEN_REVOKED":
            raise
    await person.refresh()
    return await _answer(method, request, person)


async def _answer(method: Callable[..., Any], request: Any, person: Person) -> Any:
    """A message, or all messages of a stream."""
    if isinstance(request, UploadMaterialRequest):
        return await method(iter([request]), **person.auth)
    call = method(request, **person.auth)
    if isinstance(request, AskRequest):
        return [step async for step in call]
    return await call


def _writes() -> set[str]:
    """Every routed RPC whose request has a request_id."""
    files = FileDescriptorSet.FromString(descriptors().read_bytes()).file
    remembering = {
        f".{file.package}.{message.name}"
        for file in files
        for message in file.message_type
        if any(field.name == "request_id" for field in message.field)
    }
    routed = {rpc.selector for rpc in routed_rpcs(descriptors())}
    return {
        method.name
        for file in files
        for service in file.service
        for method in service.method
        if method.input_type in remembering and f"{file.package}.{service.name}.{method.name}" in routed
    }
