"""Sign-in with ID tokens and codes: which account a verified identity signs in to, over gRPC."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import psycopg
import pytest

from chassis.testing import eventually_error, expect_error
from identity_service.tests.code_inbox import ADA, SETTINGS, redeem, request_code, sign_in_by_code
from identity_service.tests.conftest import PASSWORD, Identity, Person
from identity_service.tests.issuer import EC, FOREIGN, RSA, LocalIssuer
from meno.access.v1.access_pb2 import GlobalRole
from meno.access.v1.resources_pb2 import AuditAction
from meno.identity.v1.auth_service_pb2 import (
    LinkCredentialsRequest,
    SignInRequest,
    SignInWithIdTokenRequest,
    SignUpRequest,
)
from meno.identity.v1.resources_pb2 import Tokens
from meno.identity.v1.user_service_pb2 import GetUserRequest

PHONE = "+919876543210"
CLAIM_LOST = AuditAction.AUDIT_ACTION_CLAIM_LOST
CREDENTIAL_LINKED = AuditAction.AUDIT_ACTION_CREDENTIAL_LINKED
METHODS = ("code", "token")
OWN_USER = GetUserRequest(user_id="me")


@pytest.fixture
def more_settings(issuer: LocalIssuer) -> dict[str, Any]:
    return {"oidc_issuers": (issuer.trusted(),), **SETTINGS}


async def by_token(identity: Identity, id_token: str, **values: str) -> Tokens:
    return await identity.auth.SignInWithIdToken(SignInWithIdTokenRequest(id_token=id_token, **values))


async def verify(identity: Identity, issuer: LocalIssuer, method: str, email: str) -> Tokens:
    """Signs in by verifying an e-mail address, with a code or an ID token."""
    if method == "code":
        return await sign_in_by_code(identity, email)
    return await by_token(identity, issuer.token(email, email=email, email_verified=True))


class Squatter:
    """An attacker who signs up with the address of another person."""

    def __init__(self, number: int) -> None:
        self.login_name = f"squatter{number}"
        self.email = f"ada{number}@example.org"
        self.phone = f"+91987654321{number}"
        self.request_id = str(uuid.uuid4())

    async def sign_up(self, identity: Identity) -> Person:
        request = SignUpRequest(
            request_id=self.request_id,
            login_name=self.login_name,
            email=self.email,
            phone=self.phone,
            display_name="Ada",
            password=PASSWORD,
        )
        return Person(await identity.auth.SignUp(request))


def create_unused_account(identity: Identity, email: str, phone: str) -> str:
    """Creates the account of a teacher that nobody has used, as an administrator would."""
    [user_id] = identity.read_column(
        "INSERT INTO users (display_name, nickname, role) VALUES ('Ada', 'Ada', 'TEACHER')"
        " RETURNING user_id::text",
    )
    for kind, value in (("EMAIL", email), ("PHONE", phone)):
        identity.execute_sql(
            "INSERT INTO login_identifiers (user_id, kind, value, canonical) VALUES (%s, %s, %s, %s)",
            *(user_id, kind, value, value),
        )
    return str(user_id)


async def test_the_first_sign_in_creates_an_account(identity: Identity, issuer: LocalIssuer) -> None:
    claims = {"name": "Ada Lovelace", "email": "Ada@Example.org", "email_verified": True}
    created = await by_token(identity, issuer.token("ada", key=RSA, **claims), display_name="Somebody")
    assert (created.user.display_name, created.user.nickname) == ("Ada Lovelace", "Ada")
    assert (created.user.email, created.user.role) == ("Ada@Example.org", GlobalRole.GLOBAL_ROLE_STUDENT)
    assert identity.list_identifiers(created.user.user_id) == {(ADA, True)}
    again = await by_token(identity, issuer.token("ada", email="changed@example.org", email_verified=True))
    assert (again.user.user_id, again.user.email) == (created.user.user_id, created.user.email)
    [signed_in_at] = identity.read_column("SELECT last_sign_in_at FROM users")
    assert datetime.now(UTC) - signed_in_at < timedelta(minutes=1)
    other = await by_token(identity, issuer.token("eve", email=ADA), display_name=" Eve ")
    assert (other.user.display_name, other.user.email) == ("Eve", "")


async def test_twenty_concurrent_first_sign_ins_create_one_user(
    identity: Identity, issuer: LocalIssuer
) -> None:
    for people, claims in enumerate(({}, {"email": ADA, "email_verified": True}), start=1):
        token = issuer.token(f"ada {people}", **claims)
        answers = await asyncio.gather(*(by_token(identity, token) for _ in range(20)))
        assert len({answer.user.user_id for answer in answers}) == 1
        assert identity.count_rows("users") == people


async def test_the_same_request_with_the_same_id_token_returns_the_same_refresh_token(
    identity: Identity, issuer: LocalIssuer
) -> None:
    token, request_id = issuer.token("ada"), str(uuid.uuid4())
    answers = await asyncio.gather(*(by_token(identity, token, request_id=request_id) for _ in range(20)))
    assert len({answer.refresh_token for answer in answers}) == 1
    assert identity.count_rows("sign_ins") == 1
    error = await expect_error(by_token(identity, issuer.token("ada", jti="2"), request_id=request_id))
    assert error.reason == "REQUEST_ID_REUSED"


async def test_an_invalid_id_token_is_rejected(identity: Identity, issuer: LocalIssuer) -> None:
    attempts = {
        "MALFORMED": "nonsense",
        "ISSUER_UNKNOWN": issuer.token(iss="https://issuer.example"),
        "ALGORITHM": issuer.token(key=RSA, header={"alg": "PS256"}),
        "SIGNATURE": issuer.token(key=FOREIGN),
        "KEY_UNKNOWN": issuer.token(header={"kid": "invented"}),
        "EXPIRED": issuer.token(exp=1),
        "NOT_YET_VALID": issuer.token(nbf=9_000_000_000),
        "AUDIENCE": issuer.token(aud="another"),
        "NONCE": issuer.token(),
        "SUBJECT": issuer.token(""),
    }
    for cause, token in attempts.items():
        error = await expect_error(by_token(identity, token, nonce="n" if cause == "NONCE" else ""))
        expected = ("UNAUTHENTICATED", "ID_TOKEN_INVALID", {"cause": cause})
        assert (error.code, error.reason, error.metadata) == expected
    assert identity.count_rows("users") == 0
    error = await expect_error(by_token(identity, "x" * 24_577))
    assert (error.code, error.reason) == ("UNAUTHENTICATED", "ID_TOKEN_INVALID")


async def test_an_issuer_can_fail_recover_and_change_its_keys(
    identity: Identity, issuer: LocalIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("identity_service.sign_in.issuers.keys.MIN_FETCH_INTERVAL_SECONDS", 0)
    issuer.status = 500
    error = await expect_error(by_token(identity, issuer.token("ada", key=EC)))
    assert (error.code, error.reason) == ("UNAVAILABLE", "SERVICE_UNAVAILABLE")
    issuer.status = 200
    created = await by_token(identity, issuer.token("ada", key=EC))
    issuer.keys = [RSA]
    assert (await by_token(identity, issuer.token("ada", key=RSA))).user.user_id == created.user.user_id


async def test_a_code_and_an_id_token_sign_in_to_the_same_account(
    identity: Identity, issuer: LocalIssuer
) -> None:
    created = await sign_in_by_code(identity, ADA)
    for token in (issuer.token("ada", email=ADA, email_verified="true"), issuer.token("ada")):
        assert (await by_token(identity, token)).user.user_id == created.user.user_id
    assert (await sign_in_by_code(identity, ADA)).user.user_id == created.user.user_id


async def test_an_account_with_only_a_claim_passes_to_the_owner_of_the_address(
    identity: Identity, issuer: LocalIssuer
) -> None:
    admin = await identity.sign_up_admin()
    for number, method in enumerate(METHODS):
        profile = Squatter(number)
        squatter = await profile.sign_up(identity)
        ada = Person(await verify(identity, issuer, method, profile.email))
        assert ada.user_id == squatter.user_id
        assert identity.list_identifiers(ada.user_id) == {(profile.login_name, False), (profile.email, True)}
        # No credential of the squatter gives access any longer.
        for name in (profile.login_name, profile.email, profile.phone):
            attempt = SignInRequest(identifier=name, password=PASSWORD)
            assert (await expect_error(identity.auth.SignIn(attempt))).reason == "CREDENTIALS_INVALID"
        assert (await expect_error(identity.refresh(squatter))).reason == "REFRESH_TOKEN_INVALID"
        assert (await expect_error(profile.sign_up(identity))).reason == "TOKENS_ALREADY_ROTATED"
        error = await eventually_error(partial(identity.users.GetUser, OWN_USER, **squatter.auth))
        assert error.reason == "TOKEN_REVOKED"
        assert (await sign_in_by_code(identity, profile.phone)).user.user_id != ada.user_id
        # The credentials of the owner give access.
        await identity.users.GetUser(OWN_USER, **ada.auth)
        await identity.refresh(ada)
        assert (await verify(identity, issuer, method, profile.email)).user.user_id == ada.user_id
        entries = await identity.list_audited(admin, user_id=ada.user_id)
        assert {entry.action for entry in entries} >= {CLAIM_LOST, CREDENTIAL_LINKED}


async def test_an_account_with_another_verified_address_loses_only_the_claimed_one(
    identity: Identity, issuer: LocalIssuer
) -> None:
    admin = await identity.sign_up_admin()
    for number, method in enumerate(METHODS):
        profile = Squatter(number)
        squatter = await profile.sign_up(identity)
        code = await request_code(identity, profile.phone)
        link = LinkCredentialsRequest(user_id="me", phone=profile.phone, code=code)
        await identity.auth.LinkCredentials(link, **squatter.auth)
        ada = (await verify(identity, issuer, method, profile.email)).user
        assert ada.user_id != squatter.user_id
        assert identity.list_identifiers(ada.user_id) == {(profile.email, True)}
        assert identity.list_identifiers(squatter.user_id) == {
            (profile.login_name, False),
            (profile.phone, True),
        }
        attempt = SignInRequest(identifier=profile.email, password=PASSWORD)
        assert (await expect_error(identity.auth.SignIn(attempt))).reason == "CREDENTIALS_INVALID"
        await identity.refresh(squatter)
        entries = await identity.list_audited(admin, user_id=squatter.user_id)
        [lost] = [entry for entry in entries if entry.action == CLAIM_LOST]
        assert (lost.actor_user_id, dict(lost.details)) == (ada.user_id, {"kind": "EMAIL"})


async def test_a_password_that_is_deleted_during_a_sign_in_does_not_sign_in(identity: Identity) -> None:
    """The password is verified before the take-over of the account, which must still end the sign-in."""
    squatter = await Squatter(0).sign_up(identity)
    with psycopg.connect(identity.database_url) as takeover:
        takeover.execute("SELECT FROM users WHERE user_id = %s FOR UPDATE", [squatter.user_id])
        attempt = identity.auth.SignIn(SignInRequest(identifier=Squatter(0).email, password=PASSWORD))
        signing_in = asyncio.ensure_future(expect_error(attempt))
        await identity.wait_for_lock()
        takeover.execute("DELETE FROM credentials WHERE user_id = %s", [squatter.user_id])
    assert (await signing_in).reason == "CREDENTIALS_INVALID"
    assert identity.count_rows("sign_ins") == 1


async def test_of_two_concurrent_verifications_for_one_account_one_gets_it(
    identity: Identity,
) -> None:
    profile = Squatter(0)
    squatter = await profile.sign_up(identity)
    codes = {address: await request_code(identity, address) for address in (profile.email, profile.phone)}
    one, other = await asyncio.gather(*(redeem(identity, code, address) for address, code in codes.items()))
    assert {one.user.user_id, other.user.user_id} > {squatter.user_id}
    addresses = [
        identity.list_identifiers(done.user.user_id) - {(profile.login_name, False)} for done in (one, other)
    ]
    assert addresses == [{(profile.email, True)}, {(profile.phone, True)}]


async def test_verification_gives_access_to_an_unused_account(
    identity: Identity, issuer: LocalIssuer
) -> None:
    admin = await identity.sign_up_admin()
    await identity.set_config(admin, "sign_up_enabled", False)
    for number, method in enumerate(METHODS):
        email, phone = f"ada{number}@example.org", f"+91987654321{number}"
        created = create_unused_account(identity, email, phone)
        ada = Person(await verify(identity, issuer, method, email))
        assert (ada.user_id, ada.tokens.user.role) == (created, GlobalRole.GLOBAL_ROLE_TEACHER)
        assert identity.list_identifiers(created) == {(email, True), (phone, False)}
        await identity.refresh(ada)


async def test_two_verified_addresses_find_the_account_that_verified_one(
    identity: Identity, issuer: LocalIssuer
) -> None:
    squatter = await identity.auth.SignUp(SignUpRequest(email=ADA, display_name="X", password=PASSWORD))
    ada = await sign_in_by_code(identity, PHONE)
    both = {"email": ADA, "email_verified": True, "phone_number": PHONE, "phone_number_verified": True}
    assert (await by_token(identity, issuer.token("ada", **both))).user.user_id == ada.user.user_id
    assert identity.list_identifiers(ada.user.user_id) == {(ADA, True), (PHONE, True)}
    assert identity.list_identifiers(squatter.user.user_id) == set()


async def test_deactivated_and_deleted_users_are_rejected_after_verification(
    identity: Identity, issuer: LocalIssuer
) -> None:
    for method in METHODS:
        for column in ("deactivated_at", "deleted_at"):
            email = f"{method}.{column}@example.org"
            created = await verify(identity, issuer, method, email)
            identity.execute_sql(
                f"UPDATE users SET {column} = now() WHERE user_id = %s", created.user.user_id
            )
            error = await expect_error(verify(identity, issuer, method, email))
            assert (error.code, error.reason) == ("PERMISSION_DENIED", "ACCOUNT_DEACTIVATED")
    assert identity.count_rows("users") == 4
    # The claim of a deleted account does not block the owner of the address.
    squatter = await Squatter(0).sign_up(identity)
    identity.execute_sql("UPDATE users SET deleted_at = now()")
    assert (await sign_in_by_code(identity, Squatter(0).email)).user.user_id != squatter.user_id


async def test_every_sign_up_method_respects_the_sign_up_configuration(
    identity: Identity, issuer: LocalIssuer
) -> None:
    # A code stays valid if the call fails.
    code = await request_code(identity, ADA)

    async def sign_up(method: str) -> Tokens:
        if method == "code":
            return await redeem(identity, code)
        if method == "token":
            return await by_token(identity, issuer.token("ada"))
        return (await identity.sign_up(role=GlobalRole.GLOBAL_ROLE_UNSPECIFIED)).tokens

    methods, admin = ("password", "code", "token"), await identity.sign_up_admin()
    await identity.set_config(admin, "sign_up_enabled", False)
    for method in methods:
        error = await expect_error(sign_up(method))
        assert (error.code, error.reason) == ("PERMISSION_DENIED", "SIGN_UP_DISABLED")
    await identity.set_config(admin, "sign_up_enabled", True)
    await identity.set_config(admin, "signup_role", "UNASSIGNED")
    await identity.set_config(admin, "allowed_roles", ["STUDENT"])
    assert {(await sign_up(method)).user.role for method in methods} == {GlobalRole.GLOBAL_ROLE_UNASSIGNED}
    error = await expect_error(identity.sign_up_teacher())
    assert (error.reason, error.metadata) == ("ROLE_NOT_ALLOWED", {"role": "TEACHER"})
