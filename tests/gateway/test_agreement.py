"""Envoy and the services judge the same contract, on the same bytes, to the same end."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.gateway.contracts import Rpc, descriptors, routed_rpcs
from tests.gateway.front import Front, lift_limits
from tests.gateway.front import front as start_front

RPCS = routed_rpcs(descriptors())

ME = "018f0000-0000-7000-8000-00000000000a"
OTHER = "018f0000-0000-7000-8000-00000000000b"
TAUGHT = "018f0000-0000-7000-8000-0000000000c1"
ATTENDED = "018f0000-0000-7000-8000-0000000000c2"
FOREIGN = "018f0000-0000-7000-8000-0000000000c3"
ARCHIVED = "018f0000-0000-7000-8000-0000000000c4"

ACCESS_REASONS = {"TOKEN_MISSING", "TOKEN_INVALID", "TOKEN_EXPIRED", "ACCESS_DENIED"}

identities = st.sampled_from(
    [
        ME,
        OTHER,
        TAUGHT,
        ATTENDED,
        FOREIGN,
        ARCHIVED,
        "me",
        "ME",
        "",
        " ",
        ME.upper(),
        f"{ME} ",
        f"{ME}\0",
        "é",
        "x" * 20_000,
    ]
)


@dataclass(frozen=True)
class Principal:
    """Who calls, as the authorization header tells it."""

    name: str
    claims: dict[str, Any] | None = None
    header: str | None = None
    malformed: bool = False
    """Signed by the house, but of a form that it does not write: only the services look that closely."""


MALFORMED: list[dict[str, Any]] = [
    {"archived": [ARCHIVED]},
    {"archived": {ARCHIVED: ["TEACHER"]}},
    {"archived": {ARCHIVED: 2}},
    {"archived": {ARCHIVED: {"TEACHER": True}}},
    {"archived": None},
    {"classes": [TAUGHT]},
    {"classes": f"{TAUGHT}: TEACHER"},
    {"classes": {TAUGHT: None}},
    {"classes": {TAUGHT: "TEACHER", ATTENDED: 1}},
    {"role": ["ADMIN"]},
    {"role": "ADMINISTRATOR"},
    {"role": 4},
    {"guest": "false"},
    {"sub": [ME]},
]
PRINCIPALS = [
    Principal("nobody"),
    Principal("student", {"role": "STUDENT", "classes": {ATTENDED: "STUDENT"}}),
    Principal("teacher", {"role": "TEACHER", "classes": {TAUGHT: "TEACHER", ATTENDED: "STUDENT"}}),
    Principal("admin", {"role": "ADMIN", "classes": {}}),
    Principal("former student", {"role": "STUDENT", "classes": {}, "archived": {ARCHIVED: "STUDENT"}}),
    Principal(
        "teacher of both",
        {"role": "TEACHER", "classes": {TAUGHT: "TEACHER"}, "archived": {ARCHIVED: "TEACHER"}},
    ),
    Principal("unassigned", {"role": "UNASSIGNED", "classes": {TAUGHT: "TEACHER"}}),
    Principal("guest", {"role": "STUDENT", "classes": {}, "guest": True}),
    Principal("expired", {"role": "ADMIN", "classes": {TAUGHT: "TEACHER"}, "lifetime": -60}),
    Principal("for another audience", {"role": "ADMIN", "classes": {}, "aud": "elsewhere"}),
    Principal("of another issuer", {"role": "ADMIN", "classes": {}, "iss": "elsewhere"}),
    Principal("garbage", header="Bearer garbage"),
    Principal("basic", header="Basic bWU6bWU="),
    Principal("empty", header="Bearer "),
    Principal(
        "in 200 classes",
        {"role": "STUDENT", "classes": {str(uuid.UUID(int=i)): "STUDENT" for i in range(200)}},
    ),
    *(
        Principal(f"malformed {claims}", {"role": "STUDENT", "classes": {}, **claims}, malformed=True)
        for claims in MALFORMED
    ),
]


def tagged(number: int, wire_type: int, payload: bytes) -> bytes:
    """One field as the wire has it."""
    return varint(number << 3 | wire_type) + payload


def varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def delimited(number: int, content: bytes) -> bytes:
    return tagged(number, 2, varint(len(content)) + content)


@st.composite
def messages(draw: st.DrawFn, rpc: Rpc) -> bytes:
    """A request as an enemy would write it: fields again and again, empty, foreign, nested, torn."""
    fields = _descriptor(rpc).fields_by_name
    numbers = [fields[name].number for name in rpc.identity_fields]
    named = st.builds(
        lambda number, value: delimited(number, value.encode()),
        st.sampled_from(numbers or [1]),
        identities,
    )
    hostile = st.one_of(
        named,
        named,
        named,
        # A field that no contract has, one of another type, a nested message that repeats an id.
        st.builds(lambda value: delimited(9999, value.encode()), identities),
        st.builds(lambda number: tagged(number, 0, varint(7)), st.sampled_from([*numbers, 77])),
        st.builds(
            lambda number: delimited(number, delimited(1, ME.encode())), st.sampled_from([*numbers, 55])
        ),
        st.just(tagged(500, 5, b"1234")),
        st.binary(max_size=6),
        st.just(delimited(9998, b"x" * 300_000)),
    )
    body = b"".join(draw(st.lists(hostile, max_size=5)))
    if draw(st.integers(0, 9)) == 0:
        body = body[: draw(st.integers(0, len(body)))]
    # Most of all the plain case: every id once, in order.
    plain = b"".join(delimited(number, draw(identities).encode()) for number in numbers)
    return draw(st.sampled_from([plain, plain + body, body]))


@dataclass(frozen=True)
class Outcome:
    """What came of a call."""

    code: str
    reason: str
    reached_service: bool

    @property
    def let_in(self) -> bool:
        return self.code == "OK" or (self.code == "INVALID_ARGUMENT" and self.reason == "FIELD_INVALID")


@pytest_asyncio.fixture(scope="module")
async def front(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    """A gateway that lets everybody call as often as they like."""
    async with start_front(tmp_path_factory.mktemp("front"), amend=lift_limits) as started:
        yield started


@settings(
    max_examples=600,
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.function_scoped_fixture,
    ],
)
@given(data=st.data())
@pytest.mark.timeout(240)
async def test_gateway_and_service_let_in_the_same_calls(front: Front, data: st.DataObject) -> None:
    rpc = data.draw(st.sampled_from(RPCS))
    principal = data.draw(st.sampled_from(PRINCIPALS))
    sent = [data.draw(messages(rpc))]
    if rpc.client_streaming:
        sent += data.draw(st.lists(messages(rpc), max_size=2))
    metadata = _metadata(front, principal)
    through = await _call(front.channel, rpc, sent, metadata)
    straight = await _call(front.straight(rpc), rpc, sent, metadata)
    assert through.let_in == straight.let_in, (through, straight)
    if principal.malformed and not rpc.public:
        assert not through.let_in, through
    elif all(_canonical(rpc, message) for message in sent):
        # Not only together but each alone: of such bytes the gateway, too, knows all that there is to know.
        # It sees the first message of a stream alone; what later ones break, the service tells.
        first = await _call(front.straight(rpc), rpc, sent[:1], metadata) if len(sent) > 1 else straight
        assert through.reached_service == (first.reason not in ACCESS_REASONS), (through, straight)
        assert (through.code, through.reason) == (straight.code, straight.reason)


async def test_a_later_message_of_a_stream_cannot_change_the_class(front: Front) -> None:
    [upload] = [rpc for rpc in RPCS if rpc.client_streaming]
    metadata = _metadata(front, PRINCIPALS[2])
    number = _descriptor(upload).fields_by_name["class_id"].number
    sent = [delimited(number, TAUGHT.encode()), delimited(number, FOREIGN.encode())]
    for channel in (front.channel, front.straight(upload)):
        outcome = await _call(channel, upload, sent, metadata)
        assert (outcome.code, outcome.reason, outcome.reached_service) == (
            "PERMISSION_DENIED",
            "ACCESS_DENIED",
            True,
        )


def _metadata(front: Front, principal: Principal) -> tuple[tuple[str, str], ...]:
    if principal.header is not None:
        return (("authorization", principal.header),)
    if principal.claims is None:
        return ()
    claims = dict(principal.claims)
    classes = claims.pop("classes")
    return (("authorization", f"Bearer {front.env.issuer.token(ME, classes=classes, **claims)}"),)


async def _call(channel: grpc.aio.Channel, rpc: Rpc, sent: list[bytes], metadata: Any) -> Outcome:
    reply = _method(rpc).output_type
    how: dict[str, Any] = {
        "request_serializer": lambda raw: raw,
        "response_deserializer": GetMessageClass(reply).FromString,
    }
    initial: Any = None
    try:
        if rpc.client_streaming:

            async def stream() -> AsyncIterator[bytes]:
                for message in sent:
                    yield message

            call: Any = channel.stream_unary(rpc.path, **how)(stream(), metadata=metadata)
            await call
        elif rpc.server_streaming:
            call = channel.unary_stream(rpc.path, **how)(sent[0], metadata=metadata)
            async for _ in call:
                pass
        else:
            call = channel.unary_unary(rpc.path, **how)(sent[0], metadata=metadata)
            await call
        initial = await call.initial_metadata()
        return Outcome("OK", "", True)
    except grpc.aio.AioRpcError as error:
        initial = {**dict(error.initial_metadata() or ()), **dict(error.trailing_metadata() or ())}
        through_envoy = "server" in initial
        reached = "x-envoy-upstream-service-time" in initial if through_envoy else True
        return Outcome(error.code().name, _reason(error), reached)


def _reason(error: grpc.aio.AioRpcError) -> str:
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    info = ErrorInfo()
    if status is not None and any(detail.Unpack(info) for detail in status.details):
        return str(info.reason)
    return ""


def _canonical(rpc: Rpc, raw: bytes) -> bool:
    """Whether the bytes are what protobuf itself would write, so that there is one way to read them."""
    try:
        message = _parsed(rpc, raw)
    except DecodeError:
        return False
    message.DiscardUnknownFields()
    return bool(message.SerializeToString() == raw)


def _parsed(rpc: Rpc, raw: bytes) -> Any:
    return GetMessageClass(_descriptor(rpc)).FromString(raw)


def _descriptor(rpc: Rpc) -> Any:
    return _method(rpc).input_type


def _method(rpc: Rpc) -> Any:
    return Default().FindServiceByName(rpc.grpc_service).methods_by_name[rpc.name]
