"""What people add to sign in with."""

import asyncio
from typing import Any

import psycopg
import pytest
from google.rpc.error_details_pb2 import BadRequest

from chassis.testing import refused, soon_refused
from identity_service.tests.conftest import PASSWORD, Identity, Person
from identity_service.tests.issuer import FOREIGN, LocalIssuer
from identity_service.tests.post import POST, code_for, wrong
from meno.access.v1.access_pb2 import GlobalRole
from meno.access.v1.audit_service_pb2 import AuditAction
from meno.identity.v1.auth_service_pb2 import (
    LinkCredentialsRequest,
    RedeemOneTimeCodeRequest,
    SignInRequest,
    SignInWithIdTokenRequest,
    SignUpRequest,
)
from meno.identity.v1.user_service_pb2 import User

ADA = "ada@example.org"
PHONE = "+919876543210"


@pytest.fixture
def more_settings(issuer: LocalIssuer) -> dict[str, Any]:
    return {"oidc_issuers": (issuer.trusted(),), **POST}


async def link(identity: Identity, person: Person, **values: str) -> User:
    request = LinkCredentialsRequest(user_id="me", **values)
    return await identity.auth.LinkCredentials(request, **person.auth)


async def arrive(identity: Identity, address: str) -> Person:
    """Somebody who has proven an address, and has nothing else."""
    code = await code_for(identity, address)
    request = RedeemOneTimeCodeRequest(address=address, code=code)
    return Person(await identity.auth.RedeemOneTimeCode(request))


async def guest(identity: Identity) -> Person:
    """Somebody whom nobody knows."""
    person = await arrive(identity, f"guest@{len(rows(identity, 'SELECT 1 FROM users'))}.example")
    change(
        identity,
        "UPDATE users SET guest = true, display_name = 'Guest', nickname = 'Guest' WHERE user_id = %s",
        person.user_id,
    )
    change(identity, "DELETE FROM login_identifiers WHERE user_id = %s", person.user_id)
    await identity.refresh(person)
    return person


def change(identity: Identity, statement: str, *values: Any) -> None:
    with psycopg.connect(identity.database_url) as connection:
        connection.execute(statement.encode(), values)


def rows(identity: Identity, query: str, *values: Any) -> list[Any]:
    with psycopg.connect(identity.database_url) as connection:
        return [row[0] if len(row) == 1 else row for row in connection.execute(query.encode(), values)]


def proven(identity: Identity, person: Person) -> set[tuple[str, bool]]:
    query = "SELECT canonical, proven_at IS NOT NULL FROM login_identifiers WHERE user_id = %s"
    return {*rows(identity, query, person.user_id)}


async def linked(identity: Identity, admin: Person, person: Person) -> list[str]:
    """What was added, by its kind, in order."""
    listed = await identity.audited(admin, user_id=person.user_id)
    of_kind = AuditAction.AUDIT_ACTION_CREDENTIAL_LINKED
    return [entry.details["kind"] for entry in reversed(listed) if entry.action == of_kind]


async def test_everything_is_added_once_and_signs_in(identity: Identity, issuer: LocalIssuer) -> None:
    admin, ada = await identity.sign_up_admin(), await arrive(identity, ADA)
    code, token = await code_for(identity, PHONE), issuer.token("ada", email=ADA, email_verified=True)
    wishes = [
        {"login_name": "Ada"},
        {"phone": PHONE, "code": code},
        {"password": PASSWORD},
        {"id_token": token},
        {"email": ADA.upper()},
    ]
    for wish in wishes:
        first, again = await link(identity, ada, **wish), await link(identity, ada, **wish)
        assert first == again
    assert proven(identity, ada) == {("ada", False), (ADA, True), (PHONE, True)}
    assert await linked(identity, admin, ada) == ["EMAIL", "LOGIN_NAME", "PHONE", "IDENTITY"]
    for name in ("Ada", ADA, PHONE):
        tokens = await identity.auth.SignIn(SignInRequest(identifier=name, password=PASSWORD))
        assert tokens.user.user_id == ada.user_id
    signed_in = await identity.auth.SignInWithIdToken(SignInWithIdTokenRequest(id_token=token))
    assert signed_in.user.user_id == ada.user_id


async def test_everything_at_once_by_twenty_calls_at_once(identity: Identity, issuer: LocalIssuer) -> None:
    admin, ada = await identity.sign_up_admin(), await arrive(identity, ADA)
    code, token = await code_for(identity, PHONE), issuer.token("ada")
    wish = {"login_name": "Ada", "phone": PHONE, "code": code, "password": PASSWORD, "id_token": token}
    answers = await asyncio.gather(*(link(identity, ada, **wish) for _ in range(20)))
    assert len({str(answer) for answer in answers}) == 1
    assert await linked(identity, admin, ada) == ["EMAIL", "LOGIN_NAME", "PHONE", "IDENTITY"]
    assert rows(identity, "SELECT count(*) FROM sign_in_failures") == [0]


async def test_a_login_name_is_replaced_and_free_again(identity: Identity) -> None:
    ada, eve = await identity.sign_up("Ada"), await identity.sign_up("Eve")
    assert (await refused(link(identity, ada, login_name="EVE"))).metadata == {"field": "login_name"}
    assert (await link(identity, ada, login_name="ADA")).login_name == "ADA"
    assert (await link(identity, ada, login_name="Lovelace")).login_name == "Lovelace"
    assert (await link(identity, eve, login_name="Ada")).login_name == "Ada"
    names = [f"Name{number % 2}" for number in range(6)]
    outcomes = await asyncio.gather(
        *(link(identity, person, login_name=name) for name in names for person in (ada, eve)),
        return_exceptions=True,
    )
    assert any(isinstance(one, User) for one in outcomes)
    assert len({*rows(identity, "SELECT canonical FROM login_identifiers")}) == 2


async def test_an_address_is_proven_and_another_takes_a_code(identity: Identity) -> None:
    ada = Person(await identity.auth.SignUp(SignUpRequest(email=ADA, display_name="Ada", password=PASSWORD)))
    assert proven(identity, ada) == {(ADA, False)}
    await link(identity, ada, email=ADA, code=await code_for(identity, ADA))
    assert proven(identity, ada) == {(ADA, True)}
    denied = await refused(link(identity, ada, email="lovelace@example.org"))
    expected = ("FAILED_PRECONDITION", "CODE_REQUIRED", {"field": "email"})
    assert (denied.code, denied.reason, denied.metadata) == expected
    code = await code_for(identity, "lovelace@example.org")
    changed = await link(identity, ada, email="lovelace@example.org", code=code)
    assert (changed.email, proven(identity, ada)) == (
        "lovelace@example.org",
        {("lovelace@example.org", True)},
    )
    # Her own proof ends nothing of hers.
    await identity.auth.SignIn(SignInRequest(identifier="lovelace@example.org", password=PASSWORD))
    await identity.refresh(ada)


async def test_a_wrong_code_changes_nothing_and_is_counted(identity: Identity) -> None:
    ada, _ = await identity.sign_up("Ada"), await identity.sign_up("Eve")
    code = await code_for(identity, ADA)
    # One that is refused for another reason stays good.
    denied = await refused(link(identity, ada, login_name="Eve", email=ADA, code=code))
    assert (denied.reason, proven(identity, ada)) == ("IDENTIFIER_TAKEN", {("ada", False)})
    denied = await refused(link(identity, ada, email=ADA, code=code, display_name="\u3000"))
    [violation] = denied.detail(BadRequest).field_violations
    assert (denied.reason, violation.field) == ("FIELD_INVALID", "display_name")
    await link(identity, ada, email=ADA, code=code)
    code = await code_for(identity, PHONE)
    for _ in range(5):
        denied = await refused(link(identity, ada, login_name="Lovelace", phone=PHONE, code=wrong(code)))
        assert (denied.code, denied.reason) == ("UNAUTHENTICATED", "CODE_INVALID")
    denied = await refused(link(identity, ada, phone=PHONE, code=wrong(code)))
    assert denied.reason == "SIGN_IN_THROTTLED"
    assert proven(identity, ada) == {("ada", False), (ADA, True)}


async def test_an_address_that_somebody_has_proven_stays_theirs(
    identity: Identity, issuer: LocalIssuer
) -> None:
    ada, eve = await arrive(identity, ADA), await identity.sign_up("Eve")
    for code in ("", await code_for(identity, ADA)):
        denied = await refused(link(identity, eve, email=ADA, code=code))
        expected = ("ALREADY_EXISTS", "IDENTIFIER_TAKEN", {"field": "email"})
        assert (denied.code, denied.reason, denied.metadata) == expected
    # An identity is added all the same.
    token = issuer.token("eve", email=ADA, email_verified=True)
    await link(identity, eve, id_token=token)
    assert (proven(identity, ada), proven(identity, eve)) == ({(ADA, True)}, {("eve", False)})


async def test_an_address_that_somebody_has_claimed_passes_to_who_proves_it(identity: Identity) -> None:
    request = SignUpRequest(email=ADA, login_name="Eve", display_name="Eve", password=PASSWORD)
    eve, ada = Person(await identity.auth.SignUp(request)), await identity.sign_up("Ada")
    assert (await refused(link(identity, ada, email=ADA))).reason == "IDENTIFIER_TAKEN"
    await link(identity, ada, email=ADA, code=await code_for(identity, ADA))
    assert proven(identity, ada) == {("ada", False), (ADA, True)}
    # Her account, which rests on her name, stays hers.
    assert proven(identity, eve) == {("eve", False)}
    await identity.refresh(eve)


async def test_an_account_that_nobody_was_in_keeps_its_address(identity: Identity) -> None:
    ada = await identity.sign_up("Ada")
    [made] = rows(
        identity,
        "INSERT INTO users (display_name, nickname, role) VALUES ('A', 'Ada', 'STUDENT') RETURNING user_id::text",
    )
    statement = "INSERT INTO login_identifiers (user_id, kind, value, canonical) VALUES (%s, 'EMAIL', %s, %s)"
    change(identity, statement, made, ADA, ADA)
    code = await code_for(identity, ADA)
    assert (await refused(link(identity, ada, email=ADA, code=code))).reason == "IDENTIFIER_TAKEN"
    request = RedeemOneTimeCodeRequest(address=ADA, code=code)
    assert (await identity.auth.RedeemOneTimeCode(request)).user.user_id == made


async def test_a_password_is_added_once(identity: Identity) -> None:
    ada = await arrive(identity, ADA)
    assert (await refused(link(identity, ada, password="passwordpassword"))).reason == "PASSWORD_COMMON"
    await link(identity, ada, password=PASSWORD)
    for _ in range(5):
        denied = await refused(link(identity, ada, password=PASSWORD[::-1]))
        assert (denied.code, denied.reason) == ("FAILED_PRECONDITION", "PASSWORD_PRESENT")
    denied = await refused(link(identity, ada, password=PASSWORD[::-1]))
    assert denied.reason == "SIGN_IN_THROTTLED"


async def test_an_identity_is_one_persons(identity: Identity, issuer: LocalIssuer) -> None:
    ada, eve = await arrive(identity, ADA), await identity.sign_up("Eve")
    phone = {"phone_number": PHONE, "phone_number_verified": True}
    await link(identity, ada, id_token=issuer.token("ada", nonce="n", **phone), nonce="n")
    assert proven(identity, ada) == {(ADA, True), (PHONE, True)}
    denied = await refused(link(identity, eve, id_token=issuer.token("ada")))
    assert (denied.reason, denied.metadata) == ("IDENTIFIER_TAKEN", {"field": "id_token"})
    for token, cause in ((issuer.token("eve", key=FOREIGN), "SIGNATURE"), (issuer.token("eve"), "NONCE")):
        denied = await refused(link(identity, eve, id_token=token, nonce="n"))
        assert (denied.reason, denied.metadata) == ("ID_TOKEN_INVALID", {"cause": cause})


async def test_a_token_that_outlived_its_rights_adds_nothing(identity: Identity) -> None:
    """Not even in the second until every process knows: an account may have passed to somebody else."""
    ada = await identity.sign_up("Ada")
    change(identity, "UPDATE users SET rights_version = rights_version + 1")
    denied = await refused(link(identity, ada, login_name="Backdoor"))
    assert (denied.code, denied.reason) == ("UNAUTHENTICATED", "RIGHTS_CHANGED")
    assert proven(identity, ada) == {("ada", False)}


async def test_a_token_alone_adds_nothing_that_lasts(identity: Identity) -> None:
    person, stranger = await arrive(identity, "ada@example.org"), await guest(identity)
    change(identity, "UPDATE sign_ins SET created_at = created_at - interval '16 minutes'")
    code = await code_for(identity, "thief@example.org")
    for wish in (
        {"email": "thief@example.org", "code": code},
        {"phone": "+14155550123"},
        {"login_name": "thief"},
        {"password": PASSWORD},
    ):
        denied = await refused(link(identity, person, **wish))
        assert (denied.code, denied.reason) == ("FAILED_PRECONDITION", "SIGN_IN_NOT_RECENT")
    assert proven(identity, person) == {("ada@example.org", True)}
    # What is there already changes nothing, and who is nobody yet has nothing to lose.
    assert (await link(identity, person, email="ada@example.org")).email == "ada@example.org"
    assert (await link(identity, stranger, email="thief@example.org", code=code)).email_proven
    again = await arrive(identity, "ada@example.org")
    assert (await link(identity, again, login_name="ada")).login_name == "ada"


async def test_a_guest_becomes_a_person(identity: Identity, issuer: LocalIssuer) -> None:
    admin = await identity.sign_up_admin()
    token = issuer.token("ada", name="ada")
    for wish in ({"email": ADA}, {"login_name": "ada"}, {"id_token": token}):
        somebody = await guest(identity)
        await link(identity, somebody, password=PASSWORD)
        assert rows(identity, "SELECT guest FROM users WHERE user_id = %s", somebody.user_id) == [True]
        made = await link(identity, somebody, **wish)
        assert (made.user_id, made.display_name, made.nickname) == (somebody.user_id, "ada", "ada")
        assert rows(identity, "SELECT guest FROM users WHERE user_id = %s", somebody.user_id) == [False]
        newest = (await identity.audited(admin, user_id=somebody.user_id))[0]
        created = (AuditAction.AUDIT_ACTION_USER_CREATED, {"role": "STUDENT"})
        assert (newest.action, dict(newest.details)) == created


async def test_a_guest_is_no_way_around_the_configuration(identity: Identity) -> None:
    somebody, wish = await guest(identity), {"login_name": "Ada", "display_name": "Ada"}
    change(
        identity,
        "INSERT INTO app_config (key, value) VALUES ('sign_up_open', 'false'), ('signup_role', %s::jsonb)",
        '"UNASSIGNED"',
    )
    assert (await refused(link(identity, somebody, **wish))).reason == "SIGN_UP_CLOSED"
    change(identity, "DELETE FROM app_config WHERE key = 'sign_up_open'")
    made = await link(identity, somebody, **wish)
    assert (made.role, made.display_name) == (GlobalRole.GLOBAL_ROLE_UNASSIGNED, "Ada")
    denied = await soon_refused(lambda: link(identity, somebody, **wish))
    assert denied.reason == "RIGHTS_CHANGED"
