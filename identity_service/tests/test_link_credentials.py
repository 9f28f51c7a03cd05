"""Linking credentials to an account, over gRPC."""

import asyncio
from functools import partial
from typing import Any

import pytest
from google.rpc.error_details_pb2 import BadRequest

from chassis.testing import eventually, eventually_error, expect_error
from identity_service.tests.code_inbox import ADA, SETTINGS, redeem, request_code, sign_in_by_code, wrong_code
from identity_service.tests.conftest import PASSWORD, Identity, Person
from identity_service.tests.issuer import FOREIGN, LocalIssuer
from meno.access.v1.access_pb2 import GlobalRole
from meno.access.v1.resources_pb2 import AuditAction
from meno.identity.v1.auth_service_pb2 import (
    LinkCredentialsRequest,
    SignInRequest,
    SignInWithIdTokenRequest,
    SignUpRequest,
)
from meno.identity.v1.resources_pb2 import User

PHONE = "+919876543210"


@pytest.fixture
def more_settings(issuer: LocalIssuer) -> dict[str, Any]:
    return {"oidc_issuers": (issuer.trusted(),), **SETTINGS}


async def link(identity: Identity, person: Person, **values: str) -> User:
    request = LinkCredentialsRequest(user_id="me", **values)
    return await identity.auth.LinkCredentials(request, **person.auth)


async def sign_up_by_code(identity: Identity, address: str) -> Person:
    """Signs up a user with a verified address and no other credential."""
    return Person(await sign_in_by_code(identity, address))


async def create_guest(identity: Identity) -> Person:
    """Signs up a guest."""
    person = await sign_up_by_code(identity, f"guest@{identity.count_rows('users')}.example")
    identity.execute_sql(
        "UPDATE users SET guest = true, display_name = 'Guest', nickname = 'Guest' WHERE user_id = %s",
        person.user_id,
    )
    identity.execute_sql("DELETE FROM login_identifiers WHERE user_id = %s", person.user_id)
    await identity.refresh(person)
    return person


async def linked_kinds(identity: Identity, admin: Person, person: Person) -> list[str]:
    """Returns the kinds of the linked credentials from the audit log, in order."""
    entries = await identity.list_audited(admin, user_id=person.user_id)
    of_kind = AuditAction.AUDIT_ACTION_CREDENTIAL_LINKED
    return [entry.details["kind"] for entry in reversed(entries) if entry.action == of_kind]


async def test_each_credential_is_added_once_and_signs_in(identity: Identity, issuer: LocalIssuer) -> None:
    admin, ada = await identity.sign_up_admin(), await sign_up_by_code(identity, ADA)
    code, token = await request_code(identity, PHONE), issuer.token("ada", email=ADA, email_verified=True)
    requests = [
        {"login_name": "Ada"},
        {"phone": PHONE, "code": code},
        {"password": PASSWORD},
        {"id_token": token},
        {"email": ADA.upper()},
    ]
    for values in requests:
        first, again = await link(identity, ada, **values), await link(identity, ada, **values)
        assert first == again
    assert identity.list_identifiers(ada.user_id) == {("ada", False), (ADA, True), (PHONE, True)}
    assert await linked_kinds(identity, admin, ada) == ["EMAIL", "LOGIN_NAME", "PHONE", "IDENTITY"]
    for name in ("Ada", ADA, PHONE):
        tokens = await identity.auth.SignIn(SignInRequest(identifier=name, password=PASSWORD))
        assert tokens.user.user_id == ada.user_id
    signed_in = await identity.auth.SignInWithIdToken(SignInWithIdTokenRequest(id_token=token))
    assert signed_in.user.user_id == ada.user_id


async def test_twenty_concurrent_calls_add_all_credentials_once(
    identity: Identity, issuer: LocalIssuer
) -> None:
    admin, ada = await identity.sign_up_admin(), await sign_up_by_code(identity, ADA)
    code, token = await request_code(identity, PHONE), issuer.token("ada")
    values = {"login_name": "Ada", "phone": PHONE, "code": code, "password": PASSWORD, "id_token": token}
    # More than five calls may verify the password at once, and the rate limit then delays the next ones.
    once = partial(link, identity, ada, **values)
    answers = await asyncio.gather(*(eventually(once) for _ in range(20)))
    assert len({str(answer) for answer in answers}) == 1
    assert await linked_kinds(identity, admin, ada) == ["EMAIL", "LOGIN_NAME", "PHONE", "IDENTITY"]
    assert identity.count_rows("sign_in_failures") == 0


async def test_a_replaced_login_name_is_available_again(identity: Identity) -> None:
    ada, eve = await identity.sign_up("Ada"), await identity.sign_up("Eve")
    assert (await expect_error(link(identity, ada, login_name="EVE"))).metadata == {"field": "login_name"}
    assert (await link(identity, ada, login_name="ADA")).login_name == "ADA"
    assert (await link(identity, ada, login_name="Lovelace")).login_name == "Lovelace"
    assert (await link(identity, eve, login_name="Ada")).login_name == "Ada"
    names = [f"Name{number % 2}" for number in range(6)]
    outcomes = await asyncio.gather(
        *(link(identity, person, login_name=name) for name in names for person in (ada, eve)),
        return_exceptions=True,
    )
    assert any(isinstance(one, User) for one in outcomes)
    assert len({*identity.read_column("SELECT canonical FROM login_identifiers")}) == 2


async def test_a_code_verifies_an_address_and_is_required_to_change_it(identity: Identity) -> None:
    ada = Person(await identity.auth.SignUp(SignUpRequest(email=ADA, display_name="Ada", password=PASSWORD)))
    assert identity.list_identifiers(ada.user_id) == {(ADA, False)}
    await link(identity, ada, email=ADA, code=await request_code(identity, ADA))
    assert identity.list_identifiers(ada.user_id) == {(ADA, True)}
    error = await expect_error(link(identity, ada, email="lovelace@example.org"))
    expected = ("FAILED_PRECONDITION", "CODE_REQUIRED", {"field": "email"})
    assert (error.code, error.reason, error.metadata) == expected
    code = await request_code(identity, "lovelace@example.org")
    changed = await link(identity, ada, email="lovelace@example.org", code=code)
    assert (changed.email, identity.list_identifiers(ada.user_id)) == (
        "lovelace@example.org",
        {("lovelace@example.org", True)},
    )
    # Verifying her own address ends none of her sign-ins.
    await identity.auth.SignIn(SignInRequest(identifier="lovelace@example.org", password=PASSWORD))
    await identity.refresh(ada)


async def test_a_wrong_code_changes_nothing_and_is_counted(identity: Identity) -> None:
    ada, _ = await identity.sign_up("Ada"), await identity.sign_up("Eve")
    code = await request_code(identity, ADA)
    # A code stays valid if the call fails for another reason.
    error = await expect_error(link(identity, ada, login_name="Eve", email=ADA, code=code))
    assert (error.reason, identity.list_identifiers(ada.user_id)) == ("IDENTIFIER_TAKEN", {("ada", False)})
    error = await expect_error(link(identity, ada, email=ADA, code=code, display_name="\u3000"))
    [violation] = error.detail(BadRequest).field_violations
    assert (error.reason, violation.field) == ("FIELD_INVALID", "display_name")
    await link(identity, ada, email=ADA, code=code)
    code = await request_code(identity, PHONE)
    for _ in range(5):
        error = await expect_error(
            link(identity, ada, login_name="Lovelace", phone=PHONE, code=wrong_code(code))
        )
        assert (error.code, error.reason) == ("UNAUTHENTICATED", "CODE_INVALID")
    error = await expect_error(link(identity, ada, phone=PHONE, code=wrong_code(code)))
    assert error.reason == "SIGN_IN_RATE_LIMITED"
    assert identity.list_identifiers(ada.user_id) == {("ada", False), (ADA, True)}


async def test_a_verified_address_stays_with_its_user(identity: Identity, issuer: LocalIssuer) -> None:
    ada, eve = await sign_up_by_code(identity, ADA), await identity.sign_up("Eve")
    for code in ("", await request_code(identity, ADA)):
        error = await expect_error(link(identity, eve, email=ADA, code=code))
        expected = ("ALREADY_EXISTS", "IDENTIFIER_TAKEN", {"field": "email"})
        assert (error.code, error.reason, error.metadata) == expected
    # The external identity is added without the address.
    token = issuer.token("eve", email=ADA, email_verified=True)
    await link(identity, eve, id_token=token)
    assert (identity.list_identifiers(ada.user_id), identity.list_identifiers(eve.user_id)) == (
        {(ADA, True)},
        {("eve", False)},
    )


async def test_verification_takes_an_address_from_the_user_that_only_claimed_it(identity: Identity) -> None:
    request = SignUpRequest(email=ADA, login_name="Eve", display_name="Eve", password=PASSWORD)
    eve, ada = Person(await identity.auth.SignUp(request)), await identity.sign_up("Ada")
    assert (await expect_error(link(identity, ada, email=ADA))).reason == "IDENTIFIER_TAKEN"
    await link(identity, ada, email=ADA, code=await request_code(identity, ADA))
    assert identity.list_identifiers(ada.user_id) == {("ada", False), (ADA, True)}
    # The other account keeps its login name and its sign-ins.
    assert identity.list_identifiers(eve.user_id) == {("eve", False)}
    await identity.refresh(eve)


async def test_an_unused_account_keeps_its_address(identity: Identity) -> None:
    ada = await identity.sign_up("Ada")
    [created] = identity.read_column(
        "INSERT INTO users (display_name, nickname, role) VALUES ('A', 'Ada', 'STUDENT') RETURNING user_id::text",
    )
    statement = "INSERT INTO login_identifiers (user_id, kind, value, canonical) VALUES (%s, 'EMAIL', %s, %s)"
    identity.execute_sql(statement, created, ADA, ADA)
    code = await request_code(identity, ADA)
    assert (await expect_error(link(identity, ada, email=ADA, code=code))).reason == "IDENTIFIER_TAKEN"
    assert (await redeem(identity, code)).user.user_id == created


async def test_a_password_is_added_once(identity: Identity) -> None:
    ada = await sign_up_by_code(identity, ADA)
    assert (await expect_error(link(identity, ada, password="passwordpassword"))).reason == "PASSWORD_COMMON"
    await link(identity, ada, password=PASSWORD)
    for _ in range(5):
        error = await expect_error(link(identity, ada, password=PASSWORD[::-1]))
        assert (error.code, error.reason) == ("FAILED_PRECONDITION", "PASSWORD_ALREADY_SET")
    error = await expect_error(link(identity, ada, password=PASSWORD[::-1]))
    assert error.reason == "SIGN_IN_RATE_LIMITED"


async def test_an_external_identity_belongs_to_one_user(identity: Identity, issuer: LocalIssuer) -> None:
    ada, eve = await sign_up_by_code(identity, ADA), await identity.sign_up("Eve")
    phone = {"phone_number": PHONE, "phone_number_verified": True}
    await link(identity, ada, id_token=issuer.token("ada", nonce="n", **phone), nonce="n")
    assert identity.list_identifiers(ada.user_id) == {(ADA, True), (PHONE, True)}
    error = await expect_error(link(identity, eve, id_token=issuer.token("ada")))
    assert (error.reason, error.metadata) == ("IDENTIFIER_TAKEN", {"field": "id_token"})
    for token, cause in ((issuer.token("eve", key=FOREIGN), "SIGNATURE"), (issuer.token("eve"), "NONCE")):
        error = await expect_error(link(identity, eve, id_token=token, nonce="n"))
        assert (error.reason, error.metadata) == ("ID_TOKEN_INVALID", {"cause": cause})


async def test_a_conflict_does_not_reveal_which_identifier_is_taken(identity: Identity) -> None:
    await identity.auth.SignUp(SignUpRequest(email=ADA, phone=PHONE, display_name="Ada", password=PASSWORD))
    guest = await create_guest(identity)
    for email in (ADA, "new@example.org"):
        error = await expect_error(link(identity, guest, email=email, phone=PHONE))
        assert (error.reason, error.metadata) == ("IDENTIFIER_TAKEN", {"field": "email,phone"})


async def test_a_revoked_token_cannot_link_credentials(identity: Identity) -> None:
    """The call fails even before the revocation reaches every process."""
    ada = await identity.sign_up("Ada")
    identity.execute_sql("UPDATE users SET rights_version = rights_version + 1")
    error = await expect_error(link(identity, ada, login_name="Backdoor"))
    assert (error.code, error.reason) == ("UNAUTHENTICATED", "TOKEN_REVOKED")
    assert identity.list_identifiers(ada.user_id) == {("ada", False)}


async def test_a_sign_in_that_is_not_recent_cannot_link_credentials(identity: Identity) -> None:
    person, guest = await sign_up_by_code(identity, "ada@example.org"), await create_guest(identity)
    identity.execute_sql("UPDATE sign_ins SET created_at = created_at - interval '16 minutes'")
    code = await request_code(identity, "thief@example.org")
    for values in (
        {"email": "thief@example.org", "code": code},
        {"phone": "+14155550123"},
        {"login_name": "thief"},
        {"password": PASSWORD},
    ):
        error = await expect_error(link(identity, person, **values))
        assert (error.code, error.reason) == ("FAILED_PRECONDITION", "REAUTHENTICATION_REQUIRED")
    assert identity.list_identifiers(person.user_id) == {("ada@example.org", True)}
    # Existing credentials change nothing.
    assert (await link(identity, person, email="ada@example.org")).email == "ada@example.org"
    thief = {"login_name": "thief", "password": PASSWORD}
    for refresh_token in ("", person.tokens.refresh_token, "a.b.c", f"{guest.tokens.refresh_token}x"):
        error = await expect_error(link(identity, guest, **thief, guest_refresh_token=refresh_token))
        assert error.reason == "REAUTHENTICATION_REQUIRED"
    # A guest cannot sign in again. The refresh token proves that the access token is not stolen.
    values = {"login_name": "guest", "guest_refresh_token": guest.tokens.refresh_token}
    assert (await link(identity, guest, **values)).login_name == "guest"
    await identity.refresh(guest)
    error = await expect_error(
        link(identity, person, **thief, guest_refresh_token=person.tokens.refresh_token)
    )
    assert error.reason == "REAUTHENTICATION_REQUIRED"
    again = await sign_up_by_code(identity, "ada@example.org")
    assert (await link(identity, again, login_name="ada")).login_name == "ada"


async def test_a_guest_with_an_identifier_becomes_a_regular_user(
    identity: Identity, issuer: LocalIssuer
) -> None:
    admin = await identity.sign_up_admin()
    token = issuer.token("ada", name="ada")
    for values in ({"email": ADA}, {"login_name": "ada"}, {"id_token": token}):
        guest = await create_guest(identity)
        await link(identity, guest, password=PASSWORD)
        assert identity.read_column("SELECT guest FROM users WHERE user_id = %s", guest.user_id) == [True]
        created = await link(identity, guest, **values)
        assert (created.user_id, created.display_name, created.nickname) == (guest.user_id, "ada", "ada")
        assert identity.read_column("SELECT guest FROM users WHERE user_id = %s", guest.user_id) == [False]
        newest = (await identity.list_audited(admin, user_id=guest.user_id))[0]
        expected = (AuditAction.AUDIT_ACTION_USER_CREATED, {"role": "STUDENT"})
        assert (newest.action, dict(newest.details)) == expected


async def test_converting_a_guest_respects_the_sign_up_configuration(identity: Identity) -> None:
    guest, values = await create_guest(identity), {"login_name": "Ada", "display_name": "Ada"}
    identity.execute_sql(
        "INSERT INTO app_config (key, value) VALUES ('sign_up_enabled', 'false'), ('signup_role', %s::jsonb)",
        '"UNASSIGNED"',
    )
    assert (await expect_error(link(identity, guest, **values))).reason == "SIGN_UP_DISABLED"
    identity.execute_sql("DELETE FROM app_config WHERE key = 'sign_up_enabled'")
    created = await link(identity, guest, **values)
    assert (created.role, created.display_name) == (GlobalRole.GLOBAL_ROLE_UNASSIGNED, "Ada")
    error = await eventually_error(lambda: link(identity, guest, **values))
    assert error.reason == "TOKEN_REVOKED"
