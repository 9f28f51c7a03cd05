"""Authentication and access of each kind of RPC, and requests that are refused before the servicer."""

import base64
import json
import uuid
from typing import Any

import pytest
from google.rpc.error_details_pb2 import BadRequest
from joserfc import jwt

from chassis import tokens
from chassis.interceptors.stages import CHAIN
from chassis.testing import (
    RunningService,
    TestEnvironment,
    bearer,
    eventually,
    eventually_error,
    expect_error,
)
from chassis.tests.conftest import Probe
from meno.access.v1.access_pb2 import ClassState
from meno.access.v1.resources_pb2 import AccountEvent

ME = str(uuid.uuid4())
TAUGHT = str(uuid.uuid4())
ATTENDED = str(uuid.uuid4())
ARCHIVED = str(uuid.uuid4())

CLAIMS: dict[str, dict[str, Any]] = {
    "student": {
        "role": "STUDENT",
        "classes": {ATTENDED: "STUDENT"},
        "archived": {ARCHIVED: "STUDENT"},
    },
    "teacher": {
        "role": "TEACHER",
        "classes": {TAUGHT: "TEACHER", ATTENDED: "STUDENT"},
        "archived": {ARCHIVED: "TEACHER"},
    },
    "admin": {"role": "ADMIN"},
    "unassigned": {"role": "UNASSIGNED", "classes": {TAUGHT: "TEACHER"}},
    "guest": {"role": "STUDENT", "guest": True},
}


def test_the_chain_has_its_documented_order() -> None:
    assert [stage.name for stage in CHAIN] == [
        "telemetry",
        "errors",
        "deadline",
        "authentication",
        "access",
        "stream_limit",
        "stream_revocation",
        "validation",
        "idempotency",
    ]


@pytest.mark.parametrize(
    ("rpc", "request_fields", "permitted"),
    [
        ("Owner", {"user_id": ME}, {"student", "teacher", "admin", "guest"}),
        ("Owner", {"user_id": "me"}, {"student", "teacher", "admin", "guest"}),
        ("Owner", {"user_id": str(uuid.uuid4())}, set()),
        ("Owner", {"user_id": ""}, set()),
        ("Owner", {"user_id": ME.upper()}, set()),
        ("ClassTeacher", {"class_id": TAUGHT}, {"teacher"}),
        ("ClassTeacher", {"class_id": ATTENDED}, set()),
        ("ClassTeacher", {"class_id": ""}, set()),
        ("ClassTeacher", {"class_id": ARCHIVED}, set()),
        ("ArchivedClassMember", {"class_id": ATTENDED}, {"student", "teacher"}),
        ("ArchivedClassMember", {"class_id": ARCHIVED}, {"student", "teacher"}),
        ("ArchivedClassMember", {"class_id": str(uuid.uuid4())}, set()),
        ("ArchivedClassMember", {"class_id": ""}, set()),
        ("ArchivedClassTeacher", {"class_id": TAUGHT}, {"teacher"}),
        ("ArchivedClassTeacher", {"class_id": ATTENDED}, set()),
        ("ArchivedClassTeacher", {"class_id": ARCHIVED}, {"teacher"}),
        ("OwnerInClass", {"user_id": ME, "class_id": ATTENDED}, {"student", "teacher"}),
        ("OwnerInClass", {"user_id": ME, "class_id": ARCHIVED}, set()),
        ("OwnerInClass", {"user_id": ME, "class_id": str(uuid.uuid4())}, set()),
        ("OwnerInClass", {"user_id": str(uuid.uuid4()), "class_id": ATTENDED}, set()),
        ("OwnerOrAdmin", {"user_id": str(uuid.uuid4())}, {"admin"}),
        ("UnassignedOwner", {"user_id": ME}, set(CLAIMS)),
        ("SignedIn", {}, {"student", "teacher", "admin"}),
        ("GuestOrSignedIn", {}, {"student", "teacher", "admin", "guest"}),
        ("FromService", {}, set()),
        ("Denied", {}, set()),
    ],
)
async def test_only_permitted_callers_are_served(
    env: TestEnvironment,
    stub: Any,
    probe: Probe,
    rpc: str,
    request_fields: dict[str, str],
    permitted: set[str],
) -> None:
    request = probe.messages.EchoRequest(**request_fields)
    found = set()
    for name, claims in CLAIMS.items():
        call = getattr(stub, rpc)(request, **bearer(env.issuer.token(ME, **claims)))
        try:
            await call
            found.add(name)
        except Exception:
            denied = await expect_error(getattr(stub, rpc)(request, **bearer(env.issuer.token(ME, **claims))))
            assert (denied.code, denied.reason) == ("PERMISSION_DENIED", "ACCESS_DENIED")
    assert found == permitted


async def test_me_is_replaced_by_the_id_of_the_caller(env: TestEnvironment, stub: Any, probe: Probe) -> None:
    response = await stub.Owner(probe.messages.EchoRequest(user_id="me"), **bearer(env.issuer.token(ME)))
    assert response.text == ME


async def test_a_call_without_a_token_is_refused_as_unauthenticated(stub: Any, probe: Probe) -> None:
    denied = await expect_error(stub.Owner(probe.messages.EchoRequest(user_id=ME)))
    assert (denied.code, denied.reason) == ("UNAUTHENTICATED", "TOKEN_MISSING")


async def test_access_is_checked_before_the_fields(env: TestEnvironment, stub: Any, probe: Probe) -> None:
    too_long = probe.messages.EchoRequest(user_id=str(uuid.uuid4()), text="x" * 11)
    assert (
        await expect_error(stub.Owner(too_long, **bearer(env.issuer.token(ME))))
    ).reason == "ACCESS_DENIED"
    too_long.user_id = ME
    assert (
        await expect_error(stub.Owner(too_long, **bearer(env.issuer.token(ME))))
    ).reason == "FIELD_INVALID"


@pytest.mark.parametrize(
    ("peer", "permitted"), [("peer_service", True), ("gateway", False), ("chat_service", False)]
)
async def test_a_calling_service_is_identified_by_its_certificate(
    service: RunningService, env: TestEnvironment, probe: Probe, peer: str, permitted: bool
) -> None:
    stub = probe.stubs.ProbeServiceStub(service.channel(peer))
    call = stub.FromService(probe.messages.EchoRequest(text="hello"))
    if permitted:
        assert (await call).text == "hello"
    else:
        assert (await expect_error(call)).reason == "ACCESS_DENIED"


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"lifetime": -60}, "TOKEN_EXPIRED"),
        ({"iss": "elsewhere"}, "TOKEN_INVALID"),
        ({"aud": "elsewhere"}, "TOKEN_INVALID"),
        ({"exp": "tomorrow"}, "TOKEN_INVALID"),
        ({"sub": ""}, "TOKEN_INVALID"),
        ({"archived": [ARCHIVED]}, "TOKEN_INVALID"),
        ({"archived": {ARCHIVED: ["TEACHER"]}}, "TOKEN_INVALID"),
        ({"classes": {str(number): "STUDENT" * 58 for number in range(50)}}, "TOKEN_INVALID"),
    ],
)
async def test_an_invalid_token_is_refused_and_not_treated_as_anonymous(
    env: TestEnvironment, stub: Any, probe: Probe, claims: dict[str, Any], reason: str
) -> None:
    token = env.issuer.token(ME, **claims)
    for rpc in (stub.Owner, stub.GuestOrSignedIn):
        denied = await expect_error(rpc(probe.messages.EchoRequest(user_id=ME), **bearer(token)))
        assert (denied.code, denied.reason) == ("UNAUTHENTICATED", reason)


async def test_a_token_of_another_issuer_is_refused(env: TestEnvironment, stub: Any, probe: Probe) -> None:
    other_issuer = type(env.issuer)()
    denied = await expect_error(
        stub.Owner(probe.messages.EchoRequest(user_id=ME), **bearer(other_issuer.token(ME)))
    )
    assert denied.reason == "TOKEN_INVALID"


async def test_a_token_of_another_type_is_refused(env: TestEnvironment, stub: Any, probe: Probe) -> None:
    _, claims, _ = env.issuer.token(ME).split(".")
    text = base64.urlsafe_b64decode(claims + "==")
    other = jwt.encode(
        {"alg": tokens.ALGORITHM, "typ": "JWT", "kid": "test"}, json.loads(text), env.issuer.key
    )
    denied = await expect_error(stub.Owner(probe.messages.EchoRequest(user_id="me"), **bearer(other)))
    assert denied.reason == "TOKEN_INVALID"


async def test_a_revoked_token_is_refused_and_a_newer_one_is_accepted(
    env: TestEnvironment, stub: Any, probe: Probe
) -> None:
    request = probe.messages.EchoRequest(user_id=ME)
    old, new = env.issuer.token(ME, rv=1), env.issuer.token(ME, rv=2)
    await stub.Owner(request, **bearer(old))
    env.feed.revoke_tokens(ME, 2)
    denied = await eventually_error(lambda: stub.Owner(request, **bearer(old)))
    assert (denied.code, denied.reason) == ("UNAUTHENTICATED", "TOKEN_REVOKED")
    await stub.Owner(request, **bearer(new))


@pytest.mark.parametrize("ending", ["user_erased", "user_merged"])
async def test_tokens_of_erased_and_merged_users_are_refused(
    env: TestEnvironment, stub: Any, probe: Probe, ending: str
) -> None:
    user_id, request = str(uuid.uuid4()), probe.messages.EchoRequest(user_id="me")
    token = env.issuer.token(user_id, rv=1_000)
    await stub.Owner(request, **bearer(token))
    kind = {"user_erased": AccountEvent.UserErased, "user_merged": AccountEvent.UserMerged}[ending]
    env.feed.append(**{ending: kind(user_id=user_id)})
    assert (await eventually_error(lambda: stub.Owner(request, **bearer(token)))).reason == "TOKEN_REVOKED"


async def test_only_tokens_of_the_ended_sign_in_are_refused(
    env: TestEnvironment, stub: Any, probe: Probe
) -> None:
    request = probe.messages.EchoRequest(user_id=ME)
    ended, other = env.issuer.token(ME, sid="ended"), env.issuer.token(ME, sid="other")
    env.feed.end_sign_in(ME, "ended")
    assert (await eventually_error(lambda: stub.Owner(request, **bearer(ended)))).reason == "TOKEN_REVOKED"
    await stub.Owner(request, **bearer(other))


@pytest.mark.parametrize(
    ("state", "is_readable"), [("ARCHIVED", True), ("DELETED", False), ("PURGED", False)]
)
async def test_a_token_with_an_inactive_class_is_refused_until_the_class_is_active_again(
    env: TestEnvironment, stub: Any, probe: Probe, state: str, is_readable: bool
) -> None:
    request = probe.messages.EchoRequest(user_id=ME)
    member = env.issuer.token(ME, classes={ATTENDED: "STUDENT"})
    reader = env.issuer.token(ME, archived={ATTENDED: "STUDENT"})
    env.feed.set_class_state(ATTENDED, ClassState.Value(f"CLASS_STATE_{state}"))
    assert (await eventually_error(lambda: stub.Owner(request, **bearer(member)))).reason == "TOKEN_REVOKED"
    if is_readable:
        await stub.Owner(request, **bearer(reader))
    else:
        assert (await expect_error(stub.Owner(request, **bearer(reader)))).reason == "TOKEN_REVOKED"
    env.feed.set_class_state(ATTENDED, ClassState.CLASS_STATE_ACTIVE)
    await eventually(lambda: stub.Owner(request, **bearer(member)))
    await stub.Owner(request, **bearer(reader))


@pytest.mark.parametrize("identity_fields", [{"class_id": TAUGHT}, {"class_id": ATTENDED}])
async def test_later_messages_of_an_upload_must_not_set_identity_fields(
    env: TestEnvironment, stub: Any, probe: Probe, identity_fields: dict[str, str]
) -> None:
    piece = probe.messages.UploadRequest
    token = bearer(env.issuer.token(ME, **CLAIMS["teacher"]))
    sent = await stub.Upload(iter([piece(class_id=TAUGHT, text="a"), piece(text="b")]), **token)
    assert sent.text == "ab"
    call = stub.Upload(iter([piece(class_id=TAUGHT, text="a"), piece(text="b", **identity_fields)]), **token)
    assert (await expect_error(call)).reason == "ACCESS_DENIED"
    assert (await expect_error(stub.Upload(iter([]), **token))).reason == "ACCESS_DENIED"
    call = stub.Upload(iter([piece(class_id=TAUGHT), piece(text="x" * 11)]), **token)
    assert (await expect_error(call)).reason == "FIELD_INVALID"


async def test_undecodable_and_too_large_requests_have_a_documented_reason(
    service: RunningService, probe: Probe
) -> None:
    call: Any = service.channel().unary_unary("/probe.v1.ProbeService/Public")
    assert (await expect_error(call(b"\xff\xff\xff"))).reason == "REQUEST_MALFORMED"
    assert (
        await expect_error(call(b"\x0a" + b"\x80\x80\x90\x02" + b"x" * 0x480000))
    ).reason == "MESSAGE_TOO_LARGE"


async def test_nul_characters_are_refused_with_the_paths_of_their_fields(
    env: TestEnvironment, stub: Any, probe: Probe
) -> None:
    echo = probe.messages.EchoRequest
    request = echo(user_id=ME, text="a\0b", more=[echo(), echo(text="\0")], notes={"key": "\0", "\0": ""})
    denied = await expect_error(stub.Owner(request, **bearer(env.issuer.token(ME))))
    fields = {violation.field for violation in denied.detail(BadRequest).field_violations}
    assert (denied.reason, fields) == ("FIELD_INVALID", {"text", "more[1].text", "notes['key']", "notes"})
