"""Who comes with an ID token or a code is let in to what is theirs, and to nothing that is not."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Value

from chassis.testing import refused, soon_refused
from identity_service.tests.conftest import PASSWORD, Identity, Person
from identity_service.tests.issuer import EC, FOREIGN, RSA, LocalIssuer
from identity_service.tests.post import POST, code_for
from meno.access.v1.access_pb2 import GlobalRole
from meno.access.v1.audit_service_pb2 import AuditAction
from meno.identity.v1.admin_service_pb2 import SetConfigEntryRequest
from meno.identity.v1.auth_service_pb2 import (
    LinkCredentialsRequest,
    RedeemOneTimeCodeRequest,
    SignInRequest,
    SignInWithIdTokenRequest,
    SignUpRequest,
    Tokens,
)
from meno.identity.v1.user_service_pb2 import GetUserRequest

ADA = "ada@example.org"
PHONE = "+919876543210"
WAITING = "SELECT 1 FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND datname = current_database()"
CLAIM_LOST = AuditAction.AUDIT_ACTION_CLAIM_LOST
CREDENTIAL_LINKED = AuditAction.AUDIT_ACTION_CREDENTIAL_LINKED
HOWS = ("code", "token")
MINE = GetUserRequest(user_id="me")


@pytest.fixture
def more_settings(issuer: LocalIssuer) -> dict[str, Any]:
    return {"oidc_issuers": (issuer.trusted(),), **POST}


async def by_token(identity: Identity, id_token: str, **values: str) -> Tokens:
    return await identity.auth.SignInWithIdToken(SignInWithIdTokenRequest(id_token=id_token, **values))


async def by_code(identity: Identity, address: str) -> Tokens:
    code = await code_for(identity, address)
    request = RedeemOneTimeCodeRequest(address=address, code=code)
    return await identity.auth.RedeemOneTimeCode(request)


async def prove(identity: Identity, issuer: LocalIssuer, how: str, email: str) -> Tokens:
    """Somebody comes, with one proof or another that the address is theirs."""
    if how == "code":
        return await by_code(identity, email)
    return await by_token(identity, issuer.token(email, email=email, email_verified=True))


class Squatter:
    """Who signs up with somebody's address before they come."""

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


async def configure(identity: Identity, admin: Person, key: str, value: Any) -> None:
    request = SetConfigEntryRequest(key=key, value=ParseDict(value, Value()))
    await identity.admin.SetConfigEntry(request, **admin.auth)


def change(identity: Identity, statement: str, *values: Any) -> None:
    with psycopg.connect(identity.database_url) as connection:
        connection.execute(statement.encode(), values)


def rows(identity: Identity, query: str, *values: Any) -> list[Any]:
    with psycopg.connect(identity.database_url) as connection:
        return [row[0] if len(row) == 1 else row for row in connection.execute(query.encode(), values)]


def proven(identity: Identity, user_id: str) -> set[tuple[str, bool]]:
    """A person's addresses, and whether each was proven."""
    query = "SELECT canonical, proven_at IS NOT NULL FROM login_identifiers WHERE user_id = %s"
    return {*rows(identity, query, user_id)}


def made_by_an_administrator(identity: Identity, email: str, phone: str) -> str:
    """An account of a teacher's, which nobody was ever in."""
    [user_id] = rows(
        identity,
        "INSERT INTO users (display_name, nickname, role) VALUES ('Ada', 'Ada', 'TEACHER')"
        " RETURNING user_id::text",
    )
    for kind, value in (("EMAIL", email), ("PHONE", phone)):
        change(
            identity,
            "INSERT INTO login_identifiers (user_id, kind, value, canonical) VALUES (%s, %s, %s, %s)",
            *(user_id, kind, value, value),
        )
    return str(user_id)


async def test_who_comes_for_the_first_time_is_signed_up(identity: Identity, issuer: LocalIssuer) -> None:
    claims = {"name": "Ada Lovelace", "email": "Ada@Example.org", "email_verified": True}
    made = await by_token(identity, issuer.token("ada", key=RSA, **claims), display_name="Somebody")
    assert (made.user.display_name, made.user.nickname) == ("Ada Lovelace", "Ada")
    assert (made.user.email, made.user.role) == ("Ada@Example.org", GlobalRole.GLOBAL_ROLE_STUDENT)
    assert proven(identity, made.user.user_id) == {(ADA, True)}
    again = await by_token(identity, issuer.token("ada", email="changed@example.org", email_verified=True))
    assert (again.user.user_id, again.user.email) == (made.user.user_id, made.user.email)
    [signed_in_at] = rows(identity, "SELECT last_sign_in_at FROM users")
    assert datetime.now(UTC) - signed_in_at < timedelta(minutes=1)
    other = await by_token(identity, issuer.token("eve", email=ADA), display_name=" Eve ")
    assert (other.user.display_name, other.user.email) == ("Eve", "")


async def test_twenty_first_sign_ins_at_once_make_one_person(identity: Identity, issuer: LocalIssuer) -> None:
    for people, claims in enumerate(({}, {"email": ADA, "email_verified": True}), start=1):
        token = issuer.token(f"ada {people}", **claims)
        answers = await asyncio.gather(*(by_token(identity, token) for _ in range(20)))
        assert len({answer.user.user_id for answer in answers}) == 1
        assert rows(identity, "SELECT count(*) FROM users") == [people]


async def test_the_same_request_with_the_same_id_token_returns_the_same_refresh_token(
    identity: Identity, issuer: LocalIssuer
) -> None:
    token, request_id = issuer.token("ada"), str(uuid.uuid4())
    answers = await asyncio.gather(*(by_token(identity, token, request_id=request_id) for _ in range(20)))
    assert len({answer.refresh_token for answer in answers}) == 1
    assert rows(identity, "SELECT count(*) FROM sign_ins") == [1]
    denied = await refused(by_token(identity, issuer.token("ada", jti="2"), request_id=request_id))
    assert denied.reason == "REQUEST_ID_REUSED"


async def test_an_id_token_that_is_not_accepted_lets_nobody_in(
    identity: Identity, issuer: LocalIssuer
) -> None:
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
        denied = await refused(by_token(identity, token, nonce="n" if cause == "NONCE" else ""))
        expected = ("UNAUTHENTICATED", "ID_TOKEN_INVALID", {"cause": cause})
        assert (denied.code, denied.reason, denied.metadata) == expected
    assert rows(identity, "SELECT count(*) FROM users") == [0]
    denied = await refused(by_token(identity, "x" * 24_577))
    assert denied.reason == "FIELD_INVALID"


async def test_an_issuer_goes_away_comes_back_and_changes_its_keys(
    identity: Identity, issuer: LocalIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("identity_service.sign_in.issuers.keys.PAUSE", 0)
    issuer.status = 500
    denied = await refused(by_token(identity, issuer.token("ada", key=EC)))
    assert (denied.code, denied.reason) == ("UNAVAILABLE", "SERVICE_UNAVAILABLE")
    issuer.status = 200
    made = await by_token(identity, issuer.token("ada", key=EC))
    issuer.keys = [RSA]
    assert (await by_token(identity, issuer.token("ada", key=RSA))).user.user_id == made.user.user_id


async def test_one_person_comes_with_a_code_and_with_an_id_token(
    identity: Identity, issuer: LocalIssuer
) -> None:
    made = await by_code(identity, ADA)
    for token in (issuer.token("ada", email=ADA, email_verified="true"), issuer.token("ada")):
        assert (await by_token(identity, token)).user.user_id == made.user.user_id
    assert (await by_code(identity, ADA)).user.user_id == made.user.user_id


async def test_who_waits_in_an_account_with_somebodys_address_loses_it_to_them(
    identity: Identity, issuer: LocalIssuer
) -> None:
    admin = await identity.sign_up_admin()
    for number, how in enumerate(HOWS):
        who = Squatter(number)
        squatter = await who.sign_up(identity)
        ada = Person(await prove(identity, issuer, how, who.email))
        assert ada.user_id == squatter.user_id
        assert proven(identity, ada.user_id) == {(who.login_name, False), (who.email, True)}
        # Nothing that the squatter holds opens anything any more.
        for name in (who.login_name, who.email, who.phone):
            attempt = SignInRequest(identifier=name, password=PASSWORD)
            assert (await refused(identity.auth.SignIn(attempt))).reason == "CREDENTIALS_INVALID"
        assert (await refused(identity.refresh(squatter))).reason == "REFRESH_TOKEN_INVALID"
        assert (await refused(who.sign_up(identity))).reason == "TOKENS_ALREADY_ROTATED"
        gone = await soon_refused(partial(identity.users.GetUser, MINE, **squatter.auth))
        assert gone.reason == "RIGHTS_CHANGED"
        assert (await by_code(identity, who.phone)).user.user_id != ada.user_id
        # And what Ada holds does.
        await identity.users.GetUser(MINE, **ada.auth)
        await identity.refresh(ada)
        assert (await prove(identity, issuer, how, who.email)).user.user_id == ada.user_id
        listed = await identity.audited(admin, user_id=ada.user_id)
        assert {entry.action for entry in listed} >= {CLAIM_LOST, CREDENTIAL_LINKED}


async def test_who_has_proven_something_keeps_their_account_and_loses_the_address(
    identity: Identity, issuer: LocalIssuer
) -> None:
    admin = await identity.sign_up_admin()
    for number, how in enumerate(HOWS):
        who = Squatter(number)
        squatter = await who.sign_up(identity)
        code = await code_for(identity, who.phone)
        link = LinkCredentialsRequest(user_id="me", phone=who.phone, code=code)
        await identity.auth.LinkCredentials(link, **squatter.auth)
        ada = (await prove(identity, issuer, how, who.email)).user
        assert ada.user_id != squatter.user_id
        assert proven(identity, ada.user_id) == {(who.email, True)}
        assert proven(identity, squatter.user_id) == {(who.login_name, False), (who.phone, True)}
        attempt = SignInRequest(identifier=who.email, password=PASSWORD)
        assert (await refused(identity.auth.SignIn(attempt))).reason == "CREDENTIALS_INVALID"
        await identity.refresh(squatter)
        listed = await identity.audited(admin, user_id=squatter.user_id)
        [lost] = [entry for entry in listed if entry.action == CLAIM_LOST]
        assert (lost.actor_user_id, dict(lost.details)) == (ada.user_id, {"kind": "EMAIL"})


async def test_a_password_that_ends_while_it_signs_in_does_not(identity: Identity) -> None:
    """It was verified before its account passed to who proved the address, and begins nothing after it."""
    squatter = await Squatter(0).sign_up(identity)
    with psycopg.connect(identity.database_url) as taking:
        taking.execute("SELECT FROM users WHERE user_id = %s FOR UPDATE", [squatter.user_id])
        attempt = identity.auth.SignIn(SignInRequest(identifier=Squatter(0).email, password=PASSWORD))
        signing_in = asyncio.ensure_future(refused(attempt))
        while not await asyncio.to_thread(rows, identity, WAITING):
            continue
        taking.execute("DELETE FROM credentials WHERE user_id = %s", [squatter.user_id])
    assert (await signing_in).reason == "CREDENTIALS_INVALID"
    assert rows(identity, "SELECT count(*) FROM sign_ins") == [1]


async def test_of_two_who_prove_an_accounts_addresses_at_once_one_gets_it(identity: Identity) -> None:
    who = Squatter(0)
    squatter = await who.sign_up(identity)
    codes = {address: await code_for(identity, address) for address in (who.email, who.phone)}
    requests = [RedeemOneTimeCodeRequest(address=address, code=codes[address]) for address in codes]
    one, other = await asyncio.gather(*map(identity.auth.RedeemOneTimeCode, requests))
    assert {one.user.user_id, other.user.user_id} > {squatter.user_id}
    addresses = [proven(identity, done.user.user_id) - {(who.login_name, False)} for done in (one, other)]
    assert addresses == [{(who.email, True)}, {(who.phone, True)}]


async def test_an_account_that_an_administrator_made_waits_for_who_proves_its_address(
    identity: Identity, issuer: LocalIssuer
) -> None:
    admin = await identity.sign_up_admin()
    await configure(identity, admin, "sign_up_open", False)
    for number, how in enumerate(HOWS):
        email, phone = f"ada{number}@example.org", f"+91987654321{number}"
        made = made_by_an_administrator(identity, email, phone)
        ada = Person(await prove(identity, issuer, how, email))
        assert (ada.user_id, ada.tokens.user.role) == (made, GlobalRole.GLOBAL_ROLE_TEACHER)
        assert proven(identity, made) == {(email, True), (phone, False)}
        await identity.refresh(ada)


async def test_the_proof_of_two_addresses_finds_who_has_proven_one(
    identity: Identity, issuer: LocalIssuer
) -> None:
    squatter = await identity.auth.SignUp(SignUpRequest(email=ADA, display_name="X", password=PASSWORD))
    ada = await by_code(identity, PHONE)
    both = {"email": ADA, "email_verified": True, "phone_number": PHONE, "phone_number_verified": True}
    assert (await by_token(identity, issuer.token("ada", **both))).user.user_id == ada.user.user_id
    assert proven(identity, ada.user.user_id) == {(ADA, True), (PHONE, True)}
    assert proven(identity, squatter.user.user_id) == set()


async def test_who_is_shut_out_learns_it_once_they_have_shown_who_they_are(
    identity: Identity, issuer: LocalIssuer
) -> None:
    for how in HOWS:
        for column in ("deactivated_at", "deleted_at"):
            email = f"{how}.{column}@example.org"
            made = await prove(identity, issuer, how, email)
            change(identity, f"UPDATE users SET {column} = now() WHERE user_id = %s", made.user.user_id)
            denied = await refused(prove(identity, issuer, how, email))
            assert (denied.code, denied.reason) == ("PERMISSION_DENIED", "ACCOUNT_DEACTIVATED")
    assert rows(identity, "SELECT count(*) FROM users") == [4]
    # What a deleted account has only claimed keeps nobody out.
    squatter = await Squatter(0).sign_up(identity)
    change(identity, "UPDATE users SET deleted_at = now()")
    assert (await by_code(identity, Squatter(0).email)).user.user_id != squatter.user_id


async def test_newcomers_are_what_the_configuration_says(identity: Identity, issuer: LocalIssuer) -> None:
    # One that is refused stays good.
    code = await code_for(identity, ADA)

    async def come(way: str) -> Tokens:
        if way == "code":
            request = RedeemOneTimeCodeRequest(address=ADA, code=code)
            return await identity.auth.RedeemOneTimeCode(request)
        if way == "token":
            return await by_token(identity, issuer.token("ada"))
        return (await identity.sign_up(role=GlobalRole.GLOBAL_ROLE_UNSPECIFIED)).tokens

    ways, admin = ("password", "code", "token"), await identity.sign_up_admin()
    await configure(identity, admin, "sign_up_open", False)
    for way in ways:
        denied = await refused(come(way))
        assert (denied.code, denied.reason) == ("PERMISSION_DENIED", "SIGN_UP_CLOSED")
    await configure(identity, admin, "sign_up_open", True)
    await configure(identity, admin, "signup_role", "UNASSIGNED")
    await configure(identity, admin, "offered_roles", ["STUDENT"])
    assert {(await come(way)).user.role for way in ways} == {GlobalRole.GLOBAL_ROLE_UNASSIGNED}
    denied = await refused(identity.sign_up_teacher())
    assert (denied.reason, denied.metadata) == ("ROLE_NOT_OFFERED", {"role": "TEACHER"})
