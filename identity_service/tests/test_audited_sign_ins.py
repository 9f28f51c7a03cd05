"""Audit entries of sign-ins, and of changes that administrators make."""

import asyncio
import uuid
from collections import Counter
from typing import Any

import pytest

from chassis.testing import expect_error
from identity_service.sign_in.tokens import rules
from identity_service.tests.code_inbox import ADA, SETTINGS, redeem, request_code, wrong_code
from identity_service.tests.conftest import PASSWORD, Identity, Person
from identity_service.tests.issuer import LocalIssuer
from meno.access.v1.resources_pb2 import AuditAction, AuditEntry
from meno.identity.v1 import admin_service_pb2
from meno.identity.v1.admin_service_pb2 import CreateModelBackendRequest
from meno.identity.v1.auth_service_pb2 import (
    ChangePasswordRequest,
    SignInRequest,
    SignInWithIdTokenRequest,
)
from meno.identity.v1.resources_pb2 import ModelProvider, User
from meno.identity.v1.user_service_pb2 import UpdateUserRequest

SIGNED_IN = AuditAction.AUDIT_ACTION_SIGNED_IN
FAILED = AuditAction.AUDIT_ACTION_SIGN_IN_FAILED
LIMITED = AuditAction.AUDIT_ACTION_SIGN_IN_RATE_LIMITED


@pytest.fixture
def more_settings(issuer: LocalIssuer) -> dict[str, Any]:
    return {"oidc_issuers": (issuer.trusted(),), **SETTINGS}


async def list_entries(
    identity: Identity, admin: Person, *actions: AuditAction.ValueType, **filters: Any
) -> list[AuditEntry]:
    """Returns the entries with these actions, oldest first."""
    entries = await identity.list_audited(admin, **filters)
    return [entry for entry in reversed(entries) if entry.action in actions]


async def fail(identity: Identity, name: str, times: int = 1) -> None:
    for _ in range(times):
        attempt = SignInRequest(identifier=name, password="wrong" * 4)
        await expect_error(identity.auth.SignIn(attempt))


async def test_each_kind_of_sign_in_is_recorded_once(identity: Identity, issuer: LocalIssuer) -> None:
    admin = await identity.sign_up_admin()
    ada = Person(await redeem(identity, await request_code(identity, ADA), new_password=PASSWORD))
    request = SignInRequest(request_id=str(uuid.uuid4()), identifier=ADA, password=PASSWORD)
    for _ in range(2):
        await identity.auth.SignIn(request)
    token = issuer.token("ada", email=ADA, email_verified=True)
    await identity.auth.SignInWithIdToken(SignInWithIdTokenRequest(id_token=token))
    entries = await list_entries(identity, admin, SIGNED_IN, user_id=ada.user_id)
    assert [entry.details["kind"] for entry in entries] == ["CODE", "PASSWORD", "ID_TOKEN"]
    assert {entry.actor_user_id for entry in entries} == {ada.user_id}
    sign_in_ids = identity.read_column("SELECT sign_in_id::text FROM sign_ins ORDER BY sign_in_id")
    assert [entry.resource_id for entry in entries] == sign_in_ids[1:]


async def test_many_sign_ins_of_a_user_do_not_flood_the_log(identity: Identity) -> None:
    admin, _ = await identity.sign_up_admin(), await identity.sign_up("Uma")
    request = SignInRequest(identifier="Uma", password=PASSWORD)
    for _ in range(rules.MAX_AUDITED_PER_HOUR + 5):
        await identity.auth.SignIn(request)
    entries = await list_entries(identity, admin, SIGNED_IN)
    # The sign-up also began a sign-in.
    assert len(entries) == rules.MAX_AUDITED_PER_HOUR - 1


@pytest.mark.parametrize("name", ["Uma", "nobody"])
async def test_failures_are_recorded_at_the_first_one_and_when_a_longer_wait_begins(
    identity: Identity, name: str
) -> None:
    admin, uma = await identity.sign_up_admin(), await identity.sign_up("Uma")
    await fail(identity, name, 8)
    for failures in (14, 15, 49, 50):
        identity.execute_sql(
            "UPDATE sign_in_failures SET failures = %s, failed_at = now() - interval '2 days'", failures
        )
        await fail(identity, name)
    entries = await list_entries(identity, admin, FAILED, LIMITED)
    assert [(entry.action, entry.details["failures"]) for entry in entries] == [
        (FAILED, "1"),
        (LIMITED, "5"),
        (LIMITED, "15"),
        (LIMITED, "50"),
    ]
    assert {entry.user_id for entry in entries} == {uma.user_id if name == "Uma" else ""}
    [hashed] = {entry.details["name_hash"] for entry in entries}
    assert len(hashed) == 64
    assert name.lower() not in str(entries).lower()


async def test_wrong_codes_and_old_passwords_are_recorded(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    ada = Person(await redeem(identity, await request_code(identity, ADA), new_password=PASSWORD))
    code = await request_code(identity, ADA)
    for _ in range(5):
        await expect_error(redeem(identity, wrong_code(code)))
    change = ChangePasswordRequest(user_id="me", old_password="wrong" * 4, new_password=PASSWORD[::-1])
    await expect_error(identity.auth.ChangePassword(change, **ada.auth))
    entries = await list_entries(identity, admin, FAILED, LIMITED, user_id=ada.user_id)
    assert [(entry.action, entry.details["kind"]) for entry in entries] == [
        (FAILED, "CODE"),
        (LIMITED, "CODE"),
        (FAILED, "PASSWORD"),
    ]


async def test_the_first_invalid_id_token_of_a_network_is_recorded(
    identity: Identity, issuer: LocalIssuer
) -> None:
    admin = await identity.sign_up_admin()
    expired = issuer.token("eve", email=ADA, email_verified=True, exp=1)
    for token in (expired, "no token", expired):
        request = SignInWithIdTokenRequest(id_token=token)
        assert (await expect_error(identity.auth.SignInWithIdToken(request))).reason == "ID_TOKEN_INVALID"
    [entry] = await list_entries(identity, admin, FAILED, LIMITED)
    assert entry.user_id == ""
    assert len(entry.details.pop("network_hash")) == 64
    assert dict(entry.details) == {"kind": "ID_TOKEN", "cause": "EXPIRED"}
    # An invalid token delays nobody.
    valid = SignInWithIdTokenRequest(id_token=issuer.token("ada", email=ADA, email_verified=True))
    assert (await identity.auth.SignInWithIdToken(valid)).user.email == ADA


async def test_a_repeated_redemption_is_not_a_failure(identity: Identity) -> None:
    admin, same = await identity.sign_up_admin(), {"request_id": str(uuid.uuid4())}
    code = await request_code(identity, ADA)
    for _ in range(3):
        await redeem(identity, code, **same)
    assert await list_entries(identity, admin, FAILED, LIMITED) == []


async def test_concurrent_failures_are_recorded(identity: Identity) -> None:
    admin, _ = await identity.sign_up_admin(), await identity.sign_up("Uma")
    await asyncio.gather(*(fail(identity, "Uma") for _ in range(8)))
    entries = await list_entries(identity, admin, FAILED, LIMITED)
    assert Counter(entry.action for entry in entries)[LIMITED] >= 1


async def test_only_changes_of_other_users_are_recorded(identity: Identity) -> None:
    admin, uma = await identity.sign_up_admin(), await identity.sign_up("Uma")
    update = UpdateUserRequest(user_id=uma.user_id, user=User(display_name="Uma Rao"))
    await identity.users.UpdateUser(update, **uma.auth)
    await identity.users.UpdateUser(update, **admin.auth)
    entries = await list_entries(identity, admin, AuditAction.AUDIT_ACTION_USER_UPDATED)
    assert [(entry.actor_user_id, entry.user_id) for entry in entries] == [(admin.user_id, uma.user_id)]


async def test_tests_of_model_backends_are_recorded(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    new = CreateModelBackendRequest(name="Built in", provider=ModelProvider.MODEL_PROVIDER_BUILTIN)
    backend = await identity.admin.CreateModelBackend(new, **admin.auth)
    request = admin_service_pb2.TestModelBackendRequest(backend_id=backend.backend_id)
    await identity.admin.TestModelBackend(request, **admin.auth)
    entries = await list_entries(identity, admin, AuditAction.AUDIT_ACTION_MODEL_BACKEND_TESTED)
    assert [entry.resource_id for entry in entries] == [backend.backend_id]
