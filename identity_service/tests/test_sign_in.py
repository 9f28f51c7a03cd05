"""Signing up, in and out, over gRPC."""

import asyncio
import hashlib
import uuid
from collections import Counter
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from google.rpc.error_details_pb2 import BadRequest, RetryInfo

from chassis.testing import bearer, refused
from identity_service.tests.conftest import PASSWORD, Identity
from meno.access.v1.access_pb2 import GlobalRole
from meno.identity.v1.auth_service_pb2 import (
    RefreshTokensRequest,
    SignInRequest,
    SignOutRequest,
    SignUpRequest,
)
from meno.identity.v1.user_service_pb2 import GetUserRequest, UpdateUserRequest, User


async def test_a_new_person_can_read_themselves(identity: Identity) -> None:
    anna = await identity.sign_up("Anna")
    user = await identity.users.GetUser(GetUserRequest(user_id="me"), **anna.auth)
    assert (user.user_id, user.login_name, user.nickname) == (anna.user_id, "Anna", "Anna")
    assert user.role == GlobalRole.GLOBAL_ROLE_STUDENT


@pytest.mark.parametrize(
    "identifier", ["Ravi", "rAVI", "Ｒａｖｉ", "ravi@example.org", "RAVI@EXAMPLE.ORG", "+919876543210"]
)
async def test_any_identifier_signs_in_regardless_of_case(identity: Identity, identifier: str) -> None:
    request = SignUpRequest(
        login_name="Ravi",
        email="ravi@Example.org",
        phone="+919876543210",
        display_name="Ravi",
        password=PASSWORD,
    )
    made = await identity.auth.SignUp(request)
    tokens = await identity.auth.SignIn(SignInRequest(identifier=identifier, password=PASSWORD))
    assert tokens.user.user_id == made.user.user_id
    assert tokens.user.last_sign_in_time.ToDatetime() > made.user.last_sign_in_time.ToDatetime()


async def test_a_wrong_password_and_an_unknown_name_are_refused_alike(identity: Identity) -> None:
    await identity.sign_up("Mira")
    for name in ("Mira", "nobody"):
        denied = await refused(identity.auth.SignIn(SignInRequest(identifier=name, password="wrong" * 4)))
        assert (denied.code, denied.reason) == ("UNAUTHENTICATED", "CREDENTIALS_INVALID")


@pytest.mark.parametrize("name", ["Uma", "nobody"])
async def test_failed_attempts_are_throttled_for_known_and_unknown_names(
    identity: Identity, name: str
) -> None:
    await identity.sign_up("Uma")
    attempt = SignInRequest(identifier=name, password="wrong" * 4)
    reasons = [(await refused(identity.auth.SignIn(attempt))).reason for _ in range(5)]
    assert reasons == ["CREDENTIALS_INVALID"] * 5
    denied = await refused(identity.auth.SignIn(attempt))
    assert (denied.code, denied.reason) == ("RESOURCE_EXHAUSTED", "SIGN_IN_THROTTLED")
    assert denied.detail(RetryInfo).retry_delay.ToMilliseconds() > 0


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("mIMI", "SIGN_IN_THROTTLED"),
        ("Ｍｉｍｉ", "SIGN_IN_THROTTLED"),
        ("mİmİ", "CREDENTIALS_INVALID"),
    ],
)
async def test_whatever_name_finds_a_person_is_counted_with_the_others(
    identity: Identity, name: str, reason: str
) -> None:
    await identity.sign_up("Mimi")
    await refused(identity.auth.SignIn(SignInRequest(identifier="Mimi", password="wrong" * 4)))
    have_failed(identity, 15)
    denied = await refused(identity.auth.SignIn(SignInRequest(identifier=name, password=PASSWORD)))
    assert denied.reason == reason


@pytest.mark.parametrize("name", ["Uma", "nobody"])
async def test_of_attempts_at_the_same_time_no_more_are_tried_than_one_after_another(
    identity: Identity, name: str
) -> None:
    await identity.sign_up("Uma")
    attempt = SignInRequest(identifier=name, password="wrong" * 4)
    await refused(identity.auth.SignIn(attempt))
    # The wait of 512 seconds is over, and the next is longer than any test.
    have_failed(identity, 14, ago=timedelta(minutes=10))
    denied = await asyncio.gather(*(refused(identity.auth.SignIn(attempt)) for _ in range(40)))
    assert Counter(one.reason for one in denied) == {"CREDENTIALS_INVALID": 1, "SIGN_IN_THROTTLED": 39}
    waits = [one.detail(RetryInfo).retry_delay.ToSeconds() for one in denied if one.code != "UNAUTHENTICATED"]
    assert min(waits) > 512


async def test_failures_lie_under_what_nobody_can_look_up(identity: Identity) -> None:
    attempt = SignInRequest(identifier="+14155550123", password=PASSWORD)
    await refused(identity.auth.SignIn(attempt))
    with psycopg.connect(identity.database_url) as connection:
        [(stored,)] = connection.execute("SELECT identifier_hash FROM sign_in_failures").fetchall()
    assert stored != hashlib.sha256(b"+14155550123").digest()


async def test_signing_in_begins_the_count_anew(identity: Identity) -> None:
    await identity.sign_up("Uma")
    for password in [*["wrong" * 4] * 4, PASSWORD] * 2:
        attempt = identity.auth.SignIn(SignInRequest(identifier="Uma", password=password))
        if password == PASSWORD:
            await attempt
        else:
            assert (await refused(attempt)).reason == "CREDENTIALS_INVALID"


@pytest.mark.parametrize("field", ["login_name", "email", "phone"])
async def test_an_identifier_belongs_to_one_person(identity: Identity, field: str) -> None:
    values: dict[str, Any] = {"login_name": "Lea", "email": "lea@example.org", "phone": "+4915112345678"}
    await identity.auth.SignUp(SignUpRequest(display_name="Lea", password=PASSWORD, **values))
    request = SignUpRequest(display_name="Lea", password=PASSWORD, **{field: values[field].upper()})
    denied = await refused(identity.auth.SignUp(request))
    assert (denied.code, denied.reason, denied.metadata) == (
        "ALREADY_EXISTS",
        "IDENTIFIER_TAKEN",
        {"field": field},
    )


async def test_a_refused_sign_up_leaves_nothing_behind(identity: Identity) -> None:
    await identity.sign_up("Tom")
    await refused(identity.sign_up("tom"))
    with psycopg.connect(identity.database_url) as connection:
        counts = [
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()
            for table in ("users", "login_identifiers", "credentials", "sign_ins")
        ]
    assert counts == [(1,)] * 4


@pytest.mark.parametrize(
    "password", ["passwordpassword", "aaaaaaaaaaaaaaaa", "abcdefghijklmnopq", "qwertyqwerty123"]
)
async def test_a_common_password_is_refused(identity: Identity, password: str) -> None:
    request = SignUpRequest(login_name="Kim", display_name="Kim", password=password)
    assert (await refused(identity.auth.SignUp(request))).reason == "PASSWORD_COMMON"


async def test_a_malformed_sign_up_names_every_field(identity: Identity) -> None:
    denied = await refused(identity.auth.SignUp(SignUpRequest(email="no address", password="short")))
    assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")
    fields = {violation.field for violation in denied.detail(BadRequest).field_violations}
    assert fields == {"email", "password", "display_name"}


@pytest.mark.parametrize("blank", ["\u00a0", "\u3000\u3000", "\x1c", " \x0b "])
async def test_names_of_white_space_alone_are_refused(identity: Identity, blank: str) -> None:
    anna = await identity.sign_up("Anna")
    stranger = SignUpRequest(login_name="Eva", display_name=blank, password=PASSWORD)
    attempts: dict[str, Any] = {"display_name": identity.auth.SignUp(stranger)}
    for wish in (User(display_name=blank), User(nickname=blank * 2)):
        [(field, _)] = wish.ListFields()
        change = UpdateUserRequest(user_id="me", user=wish)
        attempts[f"user.{field.name}"] = identity.users.UpdateUser(change, **anna.auth)
    for name, attempt in attempts.items():
        denied = await refused(attempt)
        assert denied.reason == "FIELD_INVALID"
        assert denied.detail(BadRequest).field_violations[0].field == name


async def test_nobody_makes_themselves_an_administrator(identity: Identity) -> None:
    denied = await refused(identity.sign_up(role=GlobalRole.GLOBAL_ROLE_ADMIN))
    assert denied.reason == "FIELD_INVALID"


async def test_twenty_concurrent_sign_ups_with_one_request_id_make_one_person(identity: Identity) -> None:
    request = SignUpRequest(
        request_id=str(uuid.uuid4()), login_name="Noor", display_name="Noor", password=PASSWORD
    )
    answers = await asyncio.gather(*(identity.auth.SignUp(request) for _ in range(20)))
    assert len({answer.user.user_id for answer in answers}) == 1
    assert len({answer.refresh_token for answer in answers}) == 1


async def test_a_sign_up_repeated_with_another_password_is_refused(identity: Identity) -> None:
    request = SignUpRequest(
        request_id=str(uuid.uuid4()), login_name="Olga", display_name="Olga", password=PASSWORD
    )
    await identity.auth.SignUp(request)
    request.password = "a long walk in the snow"
    assert (await refused(identity.auth.SignUp(request))).reason == "REQUEST_ID_REUSED"


async def test_passwords_are_not_guessed_by_repeating_a_sign_up(identity: Identity) -> None:
    request = SignUpRequest(
        request_id=str(uuid.uuid4()), login_name="Olga", display_name="Olga", password=PASSWORD
    )
    await identity.auth.SignUp(request)
    request.password = "a long walk in the snow"
    await refused(identity.auth.SignUp(request))
    have_failed(identity, 14, ago=timedelta(minutes=10))
    denied = await asyncio.gather(*(refused(identity.auth.SignUp(request)) for _ in range(20)))
    assert Counter(one.reason for one in denied) == {"REQUEST_ID_REUSED": 1, "SIGN_IN_THROTTLED": 19}


async def test_twenty_concurrent_refreshes_return_one_successor(identity: Identity) -> None:
    ida = await identity.sign_up()
    request = RefreshTokensRequest(refresh_token=ida.tokens.refresh_token)
    answers = await asyncio.gather(*(identity.auth.RefreshTokens(request) for _ in range(20)))
    [successor] = {answer.refresh_token for answer in answers}
    assert successor != ida.tokens.refresh_token
    await identity.auth.RefreshTokens(RefreshTokensRequest(refresh_token=successor))


async def test_a_token_used_twice_ends_the_family(identity: Identity) -> None:
    eve = await identity.sign_up()
    stolen = eve.tokens.refresh_token
    await identity.refresh(eve)
    await identity.refresh(eve)
    denied = await refused(identity.auth.RefreshTokens(RefreshTokensRequest(refresh_token=stolen)))
    assert (denied.code, denied.reason) == ("UNAUTHENTICATED", "REFRESH_TOKEN_INVALID")
    assert (await refused(identity.refresh(eve))).reason == "REFRESH_TOKEN_INVALID"


@pytest.mark.parametrize("text", ["", "a.b.c", "x" * 200, "018f0000-0000-7000-8000-000000000001..z"])
async def test_a_malformed_refresh_token_is_refused(identity: Identity, text: str) -> None:
    denied = await refused(identity.auth.RefreshTokens(RefreshTokensRequest(refresh_token=text)))
    assert denied.reason in {"FIELD_INVALID", "REFRESH_TOKEN_INVALID"}


async def test_signing_out_ends_the_family_and_only_it(identity: Identity) -> None:
    zoe = await identity.sign_up("Zoe")
    elsewhere = await identity.auth.SignIn(SignInRequest(identifier="Zoe", password=PASSWORD))
    await identity.auth.SignOut(SignOutRequest(user_id="me"), **zoe.auth)
    assert (await refused(identity.refresh(zoe))).reason == "REFRESH_TOKEN_INVALID"
    await identity.auth.RefreshTokens(RefreshTokensRequest(refresh_token=elsewhere.refresh_token))


async def test_a_forged_token_is_refused_and_never_anonymous(identity: Identity) -> None:
    max_ = await identity.sign_up()
    head, body, _ = max_.tokens.access_token.split(".")
    for token in (f"{head}.{body}.{'A' * 86}", "nonsense", f"{head}.{body}."):
        denied = await refused(identity.users.GetUser(GetUserRequest(user_id="me"), **bearer(token)))
        assert (denied.code, denied.reason) == ("UNAUTHENTICATED", "TOKEN_INVALID")


def have_failed(identity: Identity, times: int, ago: timedelta = timedelta()) -> None:
    """Makes so many failed attempts of the one that is stored."""
    with psycopg.connect(identity.database_url) as connection:
        connection.execute(
            "UPDATE sign_in_failures SET failures = %s, failed_at = failed_at - %s", [times, ago]
        )
