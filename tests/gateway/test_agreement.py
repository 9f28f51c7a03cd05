"""Gateway and services make the same access decision for the same bytes."""

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
from tests.gateway.gateway_client import GatewayClient, remove_rate_limits, start_gateway

RPCS = routed_rpcs(descriptors())

ME = "018f0000-0000-7000-8000-00000000000a"
OTHER = "018f0000-0000-7000-8000-00000000000b"
TAUGHT = "018f0000-0000-7000-8000-0000000000c1"
ATTENDED = "018f0000-0000-7000-8000-0000000000c2"
FOREIGN = "018f0000-0000-7000-8000-0000000000c3"
ARCHIVED = "018f0000-0000-7000-8000-0000000000c4"

ACCESS_REASONS = {"TOKEN_MISSING", "TOKEN_INVALID", "TOKEN_EXPIRED", "ACCESS_DENIED"}

_NOT_WRITTEN = "Internal error from Core"
"""The error of grpc.aio, instead of the status, if the server answers before a request of a stream is written."""

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
    """A caller with its authorization header."""

    name: str
    claims: dict[str, Any] | None = None
    header: str | None = None
    malformed: bool = False
    """Correctly signed claims of an invalid form, which only the services reject in every case."""


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
    Principal("anonymous"),
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
    """Returns an encoded field."""
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
    """Draws hostile requests: repeated, empty, unknown, nested and truncated fields."""
    fields = _descriptor(rpc).fields_by_name
    numbers = [fields[name].number for name in rpc.identity_fields]
    identity_field = st.builds(
        lambda number, value: delimited(number, value.encode()),
        st.sampled_from(numbers or [1]),
        identities,
    )
    hostile = st.one_of(
        identity_field,
        identity_field,
        identity_field,
        # An unknown field, a field of another type, and a nested message with an id.
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
    # The most frequent case is a plain request: every id once, in order.
    plain = b"".join(delimited(number, draw(identities).encode()) for number in numbers)
    return draw(st.sampled_from([plain, plain + body, body]))


@dataclass(frozen=True)
class Outcome:
    """The outcome of a call."""

    code: str
    reason: str
    reached_service: bool

    @property
    def permitted(self) -> bool:
        return self.code == "OK" or (self.code == "INVALID_ARGUMENT" and self.reason == "FIELD_INVALID")


@pytest_asyncio.fixture(scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GatewayClient]:
    """A gateway without rate limits."""
    async with start_gateway(tmp_path_factory.mktemp("gateway"), modify=remove_rate_limits) as started:
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
@pytest.mark.timeout(600)
async def test_gateway_and_service_permit_the_same_calls(gateway: GatewayClient, data: st.DataObject) -> None:
    rpc = data.draw(st.sampled_from(RPCS))
    principal = data.draw(st.sampled_from(PRINCIPALS))
    sent = [data.draw(messages(rpc))]
    if rpc.client_streaming:
        sent += data.draw(st.lists(messages(rpc), max_size=2))
    metadata = _metadata(gateway, principal)
    through = await _call(gateway.channel, rpc, sent, metadata)
    direct = await _call(gateway.direct(rpc), rpc, sent, metadata)
    assert through.permitted == direct.permitted, (through, direct)
    if principal.malformed and not rpc.public:
        assert not through.permitted, through
    elif all(_canonical(rpc, message) for message in sent):
        # For canonical bytes, each of them decides alone and both agree. The gateway checks only the first
        # message of a stream; the service checks the later ones.
        first = await _call(gateway.direct(rpc), rpc, sent[:1], metadata) if len(sent) > 1 else direct
        assert through.reached_service == (first.reason not in ACCESS_REASONS), (through, direct)
        assert (through.code, through.reason) == (direct.code, direct.reason)


async def test_a_later_message_of_a_stream_cannot_change_the_class(gateway: GatewayClient) -> None:
    [upload] = [rpc for rpc in RPCS if rpc.client_streaming]
    metadata = _metadata(gateway, PRINCIPALS[2])
    number = _descriptor(upload).fields_by_name["class_id"].number
    sent = [delimited(number, TAUGHT.encode()), delimited(number, FOREIGN.encode())]
    for channel in (gateway.channel, gateway.direct(upload)):
        outcome = await _call(channel, upload, sent, metadata)
        assert (outcome.code, outcome.reason, outcome.reached_service) == (
            "PERMISSION_DENIED",
            "ACCESS_DENIED",
            True,
        )


def _metadata(gateway: GatewayClient, principal: Principal) -> tuple[tuple[str, str], ...]:
    if principal.header is not None:
        return (("authorization", principal.header),)
    if principal.claims is None:
        return ()
    claims = dict(principal.claims)
    classes = claims.pop("classes")
    return (("authorization", f"Bearer {gateway.env.issuer.token(ME, classes=classes, **claims)}"),)


async def _call(channel: grpc.aio.Channel, rpc: Rpc, sent: list[bytes], metadata: Any) -> Outcome:
    reply = _method(rpc).output_type
    options: dict[str, Any] = {
        "request_serializer": lambda raw: raw,
        "response_deserializer": GetMessageClass(reply).FromString,
    }
    initial: Any = None
    try:
        if rpc.client_streaming:

            async def stream() -> AsyncIterator[bytes]:
                for message in sent:
                    yield message

            call: Any = channel.stream_unary(rpc.path, **options)(stream(), metadata=metadata)
            await call
        elif rpc.server_streaming:
            call = channel.unary_stream(rpc.path, **options)(sent[0], metadata=metadata)
            async for _ in call:
                pass
        else:
            call = channel.unary_unary(rpc.path, **options)(sent[0], metadata=metadata)
            await call
        initial = await call.initial_metadata()
        return Outcome("OK", "", True)
    except grpc.aio.AioRpcError as error:
        if _NOT_WRITTEN in (error.details() or ""):
            return await _call(channel, rpc, sent, metadata)
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
    """Returns whether the bytes are the canonical encoding, which has only one interpretation."""
    try:
        message = _parse(rpc, raw)
    except DecodeError:
        return False
    message.DiscardUnknownFields()
    return bool(message.SerializeToString() == raw)


def _parse(rpc: Rpc, raw: bytes) -> Any:
    return GetMessageClass(_descriptor(rpc)).FromString(raw)


def _descriptor(rpc: Rpc) -> Any:
    return _method(rpc).input_type


def _method(rpc: Rpc) -> Any:
    return Default().FindServiceByName(rpc.grpc_service).methods_by_name[rpc.name]
