"""Every write that is sent twenty times concurrently with one request_id has one effect and one response.

A test compares the cases with the contracts, so that every write has a case.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from chassis.testing import expect_error, parse_error
from deploy.gateway.contracts import descriptors, routed_rpcs
from meno.chat.v1.chat_service_pb2 import AskRequest
from meno.content.v1.material_service_pb2 import UploadMaterialRequest
from meno.session.v1.session_service_pb2 import CreateSessionRequest
from tests.end_to_end.writes import CASES
from tests.installation import Installation, new_id
from tests.people import Person

REPETITIONS = 20
RATE_LIMITS = {"Ask": 20, "ImportRoster": 10}
"""The permitted calls of expensive RPCs per user and minute."""


def test_every_write_has_a_case() -> None:
    # Responses with secrets are never stored. These RPCs have other idempotency rules, which the tests of
    # identity_service check.
    secret = {"SignUp", "SignIn", "SignInWithIdToken", "RedeemOneTimeCode"}
    assert _writes() - secret == set(CASES)


@pytest.mark.parametrize("rpc", sorted(CASES))
async def test_concurrent_calls_have_one_effect_and_equal_responses(
    installation: Installation, rpc: str
) -> None:
    (method, request, person), count = await CASES[rpc](installation)
    request.request_id = new_id()
    before = await count() if count else 0
    # One call of the rate limit remains for the repetition below.
    calls = min(REPETITIONS, RATE_LIMITS.get(rpc, REPETITIONS + 1) - 1)
    responses = await asyncio.gather(*(_send(method, request, person) for _ in range(calls)))
    assert len({str(response) for response in responses}) == 1
    if count:
        assert await count() == before + 1
    again = await _send(method, request, person)
    assert str(again) == str(responses[0])


async def test_a_request_id_cannot_be_reused_for_another_request(installation: Installation) -> None:
    student = await installation.sign_up_student()
    request = CreateSessionRequest(user_id="me", request_id=new_id())
    await student.sessions.CreateSession(request, **student.auth)
    request.goal.text = "something else"
    error = await expect_error(student.sessions.CreateSession(request, **student.auth))
    assert (error.code, error.reason) == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")


async def _send(method: Callable[..., Any], request: Any, person: Person) -> Any:
    """Makes a call as clients do. If the token is revoked, it repeats the call with a new token."""
    try:
        return await _receive(method, request, person)
    except grpc.aio.AioRpcError as error:
        if parse_error(error).reason != "TOKEN_REVOKED":
            raise
    await person.refresh()
    return await _receive(method, request, person)


async def _receive(method: Callable[..., Any], request: Any, person: Person) -> Any:
    """Returns the response, or all messages of a stream."""
    if isinstance(request, UploadMaterialRequest):
        return await method(iter([request]), **person.auth)
    call = method(request, **person.auth)
    if isinstance(request, AskRequest):
        return [step async for step in call]
    return await call


def _writes() -> set[str]:
    """Returns the name of every routed RPC whose request has a request_id."""
    files = FileDescriptorSet.FromString(descriptors().read_bytes()).file
    idempotent = {
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
        if method.input_type in idempotent and f"{file.package}.{service.name}.{method.name}" in routed
    }
