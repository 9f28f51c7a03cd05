"""Streams: they end when the token expires or is revoked, and report the reason."""

import asyncio
import gc
import uuid
from collections.abc import AsyncGenerator
from typing import Any

import grpc
import pytest

from chassis import calls, contracts, stream_limits
from chassis.calls import Context
from chassis.interceptors import streams
from chassis.interceptors.chain import Chain
from chassis.revocation import MAX_STREAMS
from chassis.security import SecurityContext
from chassis.testing import FakeTokenIssuer, TestEnvironment, bearer, expect_error, parse_error
from chassis.tests.conftest import Probe
from meno.access.v1.access_pb2 import ClassState


async def _until_error(call: Any) -> tuple[list[Any], str]:
    """Returns every message of a stream that must end with an error, and the reason of the error."""
    received = []
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for step in call:
            received.append(step)
    return received, parse_error(caught.value).reason


async def _fails(call: Any) -> bool:
    try:
        await anext(aiter(call))
    except grpc.aio.AioRpcError:
        return True
    return False


async def test_a_stream_ends_when_its_token_expires(env: TestEnvironment, stub: Any, probe: Probe) -> None:
    token = env.issuer.token(str(uuid.uuid4()), lifetime=2)
    received, reason = await _until_error(
        stub.Watch(probe.messages.EchoRequest(user_id="me"), **bearer(token))
    )
    assert reason == "TOKEN_EXPIRED"
    assert [step.WhichOneof("step") for step in received] == ["text", "error"]
    assert received[-1].error.code == grpc.StatusCode.UNAUTHENTICATED.value[0]


@pytest.mark.parametrize("revoked", ["rights", "sign-in", "class"])
async def test_a_stream_ends_when_its_token_is_revoked_and_other_streams_continue(
    env: TestEnvironment, stub: Any, probe: Probe, revoked: str
) -> None:
    person, bystander, sign_in, taught = (str(uuid.uuid4()) for _ in range(4))
    request = probe.messages.EchoRequest(user_id="me")
    claims: dict[str, Any] = {"rv": 1, "sid": sign_in, "classes": {taught: "TEACHER"}}
    revoked_call = stub.Watch(request, **bearer(env.issuer.token(person, **claims)))
    another = stub.Watch(request, **bearer(env.issuer.token(bystander, rv=1)))
    # The same user with a newer token of another sign-in without the class.
    elsewhere = stub.Watch(request, **bearer(env.issuer.token(person, rv=2)))
    streams = [aiter(revoked_call), aiter(another), aiter(elsewhere)]
    assert [(await anext(stream)).text for stream in streams] == ["first"] * 3
    match revoked:
        case "rights":
            env.feed.revoke_tokens(person, 2)
        case "sign-in":
            env.feed.end_sign_in(person, sign_in)
        case "class":
            env.feed.set_class_state(taught, ClassState.CLASS_STATE_ARCHIVED)
    received, reason = await _until_error(streams[0])
    assert (reason, received[-1].WhichOneof("step")) == ("TOKEN_REVOKED", "error")
    for call in (another, elsewhere):
        assert not call.done()
        call.cancel()


async def test_an_upload_ends_when_its_token_is_revoked(
    env: TestEnvironment, stub: Any, probe: Probe
) -> None:
    person, taught = str(uuid.uuid4()), str(uuid.uuid4())
    token = env.issuer.token(person, rv=1, role="TEACHER", classes={taught: "TEACHER"})
    call = stub.Upload(**bearer(token))
    await call.write(probe.messages.UploadRequest(class_id=taught, text="a"))
    env.feed.revoke_tokens(person, 2)
    assert (await expect_error(call)).reason == "TOKEN_REVOKED"


async def test_a_drain_ends_every_stream(
    env: TestEnvironment, security: SecurityContext, stub: Any, probe: Probe
) -> None:
    token = env.issuer.token(str(uuid.uuid4()))
    watched = aiter(stub.Watch(probe.messages.EchoRequest(user_id="me"), **bearer(token)))
    assert (await anext(watched)).text == "first"
    security.revocations.drain()
    received, reason = await _until_error(watched)
    assert (reason, received[-1].WhichOneof("step")) == ("SERVICE_UNAVAILABLE", "error")


async def test_a_stream_that_ends_while_a_message_is_sent_gets_its_error(
    env: TestEnvironment, security: SecurityContext, probe: Probe
) -> None:
    async def watch(request: Any, context: Context) -> AsyncGenerator[Any, None]:
        yield probe.messages.WatchResponse(text="first")

    [service] = probe.messages.DESCRIPTOR.services_by_name.values()
    [method] = [method for method in contracts.methods(service) if method.name == "Watch"]
    context = _SendingContext(env.issuer.token(str(uuid.uuid4())))
    handler: Any = Chain(security).handler(method, watch).unary_stream
    request = probe.messages.EchoRequest(user_id="me").SerializeToString()
    call = asyncio.create_task(handler(request, context))
    await context.is_sending.wait()
    security.revocations.drain()
    context.may_finish.set()
    with pytest.raises(_Aborted, match="UNAVAILABLE"):
        await call
    assert [message.WhichOneof("step") for message in context.messages] == ["text", "error"]


async def test_the_number_of_open_streams_of_a_user_is_limited(
    env: TestEnvironment, stub: Any, probe: Probe
) -> None:
    mine, others = (bearer(env.issuer.token(str(uuid.uuid4()))) for _ in range(2))
    request = probe.messages.EchoRequest(user_id="me")
    watching = [stub.Watch(request, **mine) for _ in range(MAX_STREAMS)]
    for call in watching:
        await anext(aiter(call))
    assert (await expect_error(stub.Watch(request, **mine))).reason == "RATE_LIMITED"
    assert (await anext(aiter(stub.Watch(request, **others)))).text == "first"
    watching[0].cancel()
    while await _fails(stub.Watch(request, **mine)):
        continue


@pytest.mark.parametrize(
    ("guest", "addresses", "other"),
    [
        (False, ["203.0.113.1", "203.0.113.1"], "203.0.113.2"),
        (False, ["2001:db8:1:1::1", "2001:db8:1:1::2"], "2001:db8:1:2::1"),
        (True, ["203.0.113.1", "203.0.113.1"], "203.0.113.2"),
    ],
    ids=["ipv4", "ipv6", "guests"],
)
async def test_the_number_of_open_streams_of_an_address_is_limited(
    env: TestEnvironment,
    stub: Any,
    probe: Probe,
    monkeypatch: pytest.MonkeyPatch,
    guest: bool,
    addresses: list[str],
    other: str,
) -> None:
    monkeypatch.setattr(stream_limits, "MAX_GUESTS_PER_ADDRESS" if guest else "MAX_PER_ADDRESS", 2)
    opened = [_watch_from(env, stub, probe, address, guest=guest) for address in addresses]
    for call in opened:
        await anext(aiter(call))
    assert (
        await expect_error(_watch_from(env, stub, probe, addresses[0], guest=guest))
    ).reason == "RATE_LIMITED"
    for call in (
        _watch_from(env, stub, probe, other, guest=guest),
        _watch_from(env, stub, probe, addresses[0], guest=not guest),
    ):
        await anext(aiter(call))
    opened[0].cancel()
    while await _fails(_watch_from(env, stub, probe, addresses[0], guest=guest)):
        continue


def _watch_from(env: TestEnvironment, stub: Any, probe: Probe, address: str, *, guest: bool) -> Any:
    token = env.issuer.token(str(uuid.uuid4()), guest=guest)
    metadata = (("authorization", f"Bearer {token}"), (calls.CLIENT_ADDRESS, address))
    return stub.Watch(probe.messages.EchoRequest(user_id="me"), metadata=metadata)


async def test_an_error_after_the_first_message_is_also_sent_as_the_last_message(
    env: TestEnvironment, stub: Any, probe: Probe
) -> None:
    request = probe.messages.EchoRequest(user_id="me", text="denied")
    received, reason = await _until_error(stub.Watch(request, **bearer(env.issuer.token(str(uuid.uuid4())))))
    assert (reason, received[-1].error.message) == (
        "ACCESS_DENIED",
        "Permission denied, or the resource does not exist. Refresh the access token if the permission is new.",
    )


async def test_an_error_before_the_first_message_is_not_sent_as_a_message(stub: Any, probe: Probe) -> None:
    forged = FakeTokenIssuer().token(str(uuid.uuid4()))
    received, reason = await _until_error(
        stub.Watch(probe.messages.EchoRequest(user_id="me"), **bearer(forged))
    )
    assert (received, reason) == ([], "TOKEN_INVALID")


async def test_a_refusal_by_the_servicer_is_not_sent_as_a_message(
    env: TestEnvironment, stub: Any, probe: Probe
) -> None:
    request = probe.messages.EchoRequest(user_id="me", text="refused")
    received, reason = await _until_error(stub.Watch(request, **bearer(env.issuer.token(str(uuid.uuid4())))))
    assert (received, reason) == ([], "ACCESS_DENIED")


async def test_a_quiet_stream_has_its_headers_and_its_error(
    env: TestEnvironment, security: SecurityContext, stub: Any, probe: Probe
) -> None:
    request = probe.messages.EchoRequest(user_id="me", text="quiet")
    call = stub.Watch(request, **bearer(env.issuer.token(str(uuid.uuid4()))))
    await call.initial_metadata()
    assert not call.done()
    security.revocations.drain()
    received, reason = await _until_error(call)
    assert (reason, [step.WhichOneof("step") for step in received]) == ("SERVICE_UNAVAILABLE", ["error"])


async def test_a_quiet_stream_shows_that_it_is_alive(
    env: TestEnvironment, stub: Any, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "HEADERS_DELAY_SECONDS", 0.01)
    monkeypatch.setattr(streams, "KEEP_ALIVE_SECONDS", 0.01)
    request = probe.messages.EchoRequest(user_id="me", text="quiet")
    steps = aiter(stub.Watch(request, **bearer(env.issuer.token(str(uuid.uuid4())))))
    assert [(await anext(steps)).WhichOneof("step") for _ in range(3)] == ["keep_alive"] * 3


class _Aborted(Exception):
    """The status with which a call was aborted."""


class _SendingContext:
    """The context of a call that sends one message at a time, and the first one not before `may_finish`."""

    def __init__(self, token: str) -> None:
        self.messages: list[Any] = []
        self.is_sending = asyncio.Event()
        self.may_finish = asyncio.Event()
        self._is_busy = False
        self._token = token

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self._token}"),)

    def auth_context(self) -> dict[str, list[bytes]]:
        return {}

    async def write(self, message: Any) -> None:
        # As in gRPC: a message that is given up is still being sent.
        assert not self._is_busy
        self._is_busy = True
        self.messages.append(message)
        self.is_sending.set()
        await self.may_finish.wait()
        self._is_busy = False

    async def abort(self, code: grpc.StatusCode, *_: object) -> None:
        raise _Aborted(code.name)


async def test_a_failed_write_of_a_cancelled_stream_is_not_logged(probe: Probe) -> None:
    """The client has gone, which is no error of the service."""
    unhandled: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
    writing, gone = asyncio.Event(), asyncio.Event()

    class ContextOfGoneClient:
        async def write(self, message: object) -> None:
            writing.set()
            await gone.wait()
            raise ConnectionError

    context: Any = ContextOfGoneClient()
    [service] = probe.messages.DESCRIPTOR.services_by_name.values()
    [method] = [method for method in contracts.methods(service) if method.name == "Watch"]
    sender = streams.StreamSender(method, context)
    sending = asyncio.create_task(sender.send(probe.messages.WatchResponse()))
    await writing.wait()
    sending.cancel()
    gone.set()
    await asyncio.wait({sending})
    assert sending.cancelled()
    del sending, sender
    gc.collect()
    assert unhandled == []
