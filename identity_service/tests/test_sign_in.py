"""Sign-up, sign-in with a password, refresh and sign-out, over gRPC."""

import asyncio
import hashlib
import uuid
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from google.rpc.error_details_pb2 import BadRequest, RetryInfo

from chassis.testing import bearer, expect_error
from identity_service.tests.conftest import PASSWORD, Identity
from meno.access.v1.access_pb2 import GlobalRole
from meno.identity.v1.auth_service_pb2 import (
    RefreshTokensRequest,
    SignInRequest,
    SignOutRequest,
    SignUpRequest,
)
from meno.identity.v1.resources_pb2 import User
from meno.identity.v1.user_service_pb2 import GetUserRequest, UpdateUserRequest

RAVI = SignUpRequest(
    login_name="Ravi",
    email="ravi@Example.org",
    phone="+919876543210",
    display_name="Ravi",
    password=PASSWORD,
)


async def test_a_new_user_can_read_their_account(identity: Identity) -> None:
    anna = await identity.sign_up("Anna")
    user = await identity.users.GetUser(GetUserRequest(user_id="me"), **anna.auth)
    assert (user.user_id, user.login_name, user.nickname) == (anna.user_id, "Anna", "Anna")
    assert user.role == GlobalRole.GLOBAL_ROLE_STUDENT


@pytest.mark.parametrize(
    "identifier", ["Ravi", "rAVI", "Ｒａｖｉ", "ravi@example.org", "RAVI@EXAMPLE.ORG", "+919876543210"]
)
async def test_any_identifier_signs_in_regardless_of_case(identity: Identity, identifier: str) -> None:
    created = await identity.auth.SignUp(RAVI)
    tokens = await identity.auth.SignIn(SignInRequest(identifier=identifier, password=PASSWORD))
    assert tokens.user.user_id == created.user.user_id
    assert tokens.user.last_sign_in_time.ToDatetime() > created.user.last_sign_in_time.ToDatetime()


async def test_each_identifier_field_signs_in(identity: Identity) -> None:
    created = await identity.auth.SignUp(RAVI)
    for request in (
        SignInRequest(login_name="rAVI", password=PASSWORD),
        SignInRequest(email="RAVI@example.org", password=PASSWORD),
        SignInRequest(phone="+919876543210", password=PASSWORD),
    ):
        assert (await identity.auth.SignIn(request)).user.user_id == created.user.user_id


async def test_failed_attempts_are_counted_per_identifier_in_any_field(identity: Identity) -> None:
    await identity.sign_up("Uma")
    for _ in range(5):
        wrong = SignInRequest(login_name="nobody", password="wrong" * 4)
        assert (await expect_error(identity.auth.SignIn(wrong))).reason == "CREDENTIALS_INVALID"
    for field in ("login_name", "identifier"):
        attempt = SignInRequest(**{field: "nobody"}, password=PASSWORD)
        assert (await expect_error(identity.auth.SignIn(attempt))).reason == "SIGN_IN_RATE_LIMITED"
    await identity.auth.SignIn(SignInRequest(login_name="Uma", password=PASSWORD))


@pytest.mark.parametrize(
    "request_",
    [
        SignInRequest(password=PASSWORD),
        SignInRequest(login_name="Ravi", email="ravi@example.org", password=PASSWORD),
    ],
)
async def test_sign_in_with_no_or_two_identifiers_is_rejected(
    identity: Identity, request_: SignInRequest
) -> None:
    error = await expect_error(identity.auth.SignIn(request_))
    assert (error.code, error.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")


async def test_a_wrong_password_and_an_unknown_name_get_the_same_error(identity: Identity) -> None:
    await identity.sign_up("Mira")
    for name in ("Mira", "nobody"):
        error = await expect_error(identity.auth.SignIn(SignInRequest(identifier=name, password="wrong" * 4)))
        assert (error.code, error.reason) == ("UNAUTHENTICATED", "CREDENTIALS_INVALID")


@pytest.mark.parametrize("name", ["Uma", "nobody"])
async def test_failed_attempts_are_rate_limited_for_known_and_unknown_names(
    identity: Identity, name: str
) -> None:
    await identity.sign_up("Uma")
    attempt = SignInRequest(identifier=name, password="wrong" * 4)
    reasons = [(await expect_error(identity.auth.SignIn(attempt))).reason for _ in range(5)]
    assert reasons == ["CREDENTIALS_INVALID"] * 5
    error = await expect_error(identity.auth.SignIn(attempt))
    assert (error.code, error.reason) == ("RESOURCE_EXHAUSTED", "SIGN_IN_RATE_LIMITED")
    assert error.detail(RetryInfo).retry_delay.ToMilliseconds() > 0


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("mIMI", "SIGN_IN_RATE_LIMITED"),
        ("Ｍｉｍｉ", "SIGN_IN_RATE_LIMITED"),
        ("mİmİ", "CREDENTIALS_INVALID"),
    ],
)
async def test_all_spellings_of_a_login_name_share_one_count(
    identity: Identity, name: str, reason: str
) -> None:
    await identity.sign_up("Mimi")
    await expect_error(identity.auth.SignIn(SignInRequest(identifier="Mimi", password="wrong" * 4)))
    set_failures(identity, 15)
    error = await expect_error(identity.auth.SignIn(SignInRequest(identifier=name, password=PASSWORD)))
    assert error.reason == reason


@pytest.mark.parametrize("name", ["Uma", "nobody"])
async def test_concurrent_attempts_do_not_allow_more_guesses_than_sequential_ones(
    identity: Identity, name: str
) -> None:
    await identity.sign_up("Uma")
    attempt = SignInRequest(identifier=name, password="wrong" * 4)
    await expect_error(identity.auth.SignIn(attempt))
    # The delay of 512 seconds is over, and the next one is longer than any test.
    set_failures(identity, 14, ago=timedelta(minutes=10))
    error = await asyncio.gather(*(expect_error(identity.auth.SignIn(attempt)) for _ in range(40)))
    assert Counter(one.reason for one in error) == {"CREDENTIALS_INVALID": 1, "SIGN_IN_RATE_LIMITED": 39}
    waits = [one.detail(RetryInfo).retry_delay.ToSeconds() for one in error if one.code != "UNAUTHENTICATED"]
    assert min(waits) > 512


async def test_failures_are_stored_under_a_keyed_hash(identity: Identity) -> None:
    attempt = SignInRequest(identifier="+14155550123", password=PASSWORD)
    await expect_error(identity.auth.SignIn(attempt))
    [stored] = identity.read_column("SELECT identifier_hash FROM sign_in_failures")
    assert stored != hashlib.sha256(b"+14155550123").digest()


async def test_signing_in_resets_the_count(identity: Identity) -> None:
    await identity.sign_up("Uma")
    for password in [*["wrong" * 4] * 4, PASSWORD] * 2:
        attempt = identity.auth.SignIn(SignInRequest(identifier="Uma", password=password))
        if password == PASSWORD:
            await attempt
        else:
            assert (await expect_error(attempt)).reason == "CREDENTIALS_INVALID"


@pytest.mark.parametrize("field", ["login_name", "email", "phone"])
async def test_an_identifier_belongs_to_one_user(identity: Identity, field: str) -> None:
    values: dict[str, Any] = {"login_name": "Lea", "email": "lea@example.org", "phone": "+4915112345678"}
    await identity.auth.SignUp(SignUpRequest(display_name="Lea", password=PASSWORD, **values))
    request = SignUpRequest(display_name="Lea", password=PASSWORD, **{field: values[field].upper()})
    error = await expect_error(identity.auth.SignUp(request))
    assert (error.code, error.reason, error.metadata) == (
        "ALREADY_EXISTS",
        "IDENTIFIER_TAKEN",
        {"field": field},
    )


async def test_a_conflict_does_not_reveal_which_identifier_is_taken(identity: Identity) -> None:
    taken = SignUpRequest(
        email="lea@example.org", phone="+4915112345678", display_name="Lea", password=PASSWORD
    )
    await identity.auth.SignUp(taken)
    errors = []
    for email in ("lea@example.org", "eva@example.org"):
        request = SignUpRequest(
            login_name="eva", email=email, phone=taken.phone, display_name="E", password=PASSWORD
        )
        errors.append(await expect_error(identity.auth.SignUp(request)))
        assert errors[-1].metadata == {"field": "login_name,email,phone"}
    assert str(errors[0]) == str(errors[1])
    assert identity.count_rows("users") == 1


async def test_a_rejected_sign_up_stores_nothing(identity: Identity) -> None:
    await identity.sign_up("Tom")
    await expect_error(identity.sign_up("tom"))
    tables = ("users", "login_identifiers", "credentials", "sign_ins")
    assert [identity.count_rows(table) for table in tables] == [1] * 4


@pytest.mark.parametrize(
    "password", ["passwordpassword", "aaaaaaaaaaaaaaaa", "abcdefghijklmnopq", "qwertyqwerty123"]
)
async def test_a_common_password_is_rejected(identity: Identity, password: str) -> None:
    request = SignUpRequest(login_name="Kim", display_name="Kim", password=password)
    assert (await expect_error(identity.auth.SignUp(request))).reason == "PASSWORD_COMMON"


async def test_a_malformed_sign_up_reports_every_field(identity: Identity) -> None:
    error = await expect_error(identity.auth.SignUp(SignUpRequest(email="no address", password="short")))
    assert (error.code, error.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")
    fields = {violation.field for violation in error.detail(BadRequest).field_violations}
    assert fields == {"email", "password", "display_name"}


@pytest.mark.parametrize("blank", ["\u00a0", "\u3000\u3000", "\x1c", " \x0b "])
async def test_blank_names_are_rejected(identity: Identity, blank: str) -> None:
    anna = await identity.sign_up("Anna")
    stranger = SignUpRequest(login_name="Eva", display_name=blank, password=PASSWORD)
    attempts: dict[str, Any] = {"display_name": identity.auth.SignUp(stranger)}
    for changes in (User(display_name=blank), User(nickname=blank * 2)):
        [(field, _)] = changes.ListFields()
        update = UpdateUserRequest(user_id="me", user=changes)
        attempts[f"user.{field.name}"] = identity.users.UpdateUser(update, **anna.auth)
    for name, attempt in attempts.items():
        error = await expect_error(attempt)
        assert error.reason == "FIELD_INVALID"
        assert error.detail(BadRequest).field_violations[0].field == name


async def test_a_user_cannot_sign_up_as_an_administrator(identity: Identity) -> None:
    error = await expect_error(identity.sign_up(role=GlobalRole.GLOBAL_ROLE_ADMIN))
    assert error.reason == "FIELD_INVALID"


async def test_twenty_concurrent_sign_ups_with_one_request_id_create_one_user(identity: Identity) -> None:
    request = SignUpRequest(
        request_id=str(uuid.uuid4()), login_name="Noor", display_name="Noor", password=PASSWORD
    )
    answers = await asyncio.gather(*(identity.auth.SignUp(request) for _ in range(20)))
    assert len({answer.user.user_id for answer in answers}) == 1
    assert len({answer.refresh_token for answer in answers}) == 1


async def test_a_sign_up_repeated_with_another_password_is_rejected(identity: Identity) -> None:
    request = SignUpRequest(
        request_id=str(uuid.uuid4()), login_name="Olga", display_name="Olga", password=PASSWORD
    )
    await identity.auth.SignUp(request)
    request.password = "a long walk in the snow"
    assert (await expect_error(identity.auth.SignUp(request))).reason == "REQUEST_ID_REUSED"


async def test_repeating_a_sign_up_does_not_allow_unlimited_guesses(identity: Identity) -> None:
    request = SignUpRequest(
        request_id=str(uuid.uuid4()), login_name="Olga", display_name="Olga", password=PASSWORD
    )
    await identity.auth.SignUp(request)
    request.password = "a long walk in the snow"
    await expect_error(identity.auth.SignUp(request))
    set_failures(identity, 14, ago=timedelta(minutes=10))
    error = await asyncio.gather(*(expect_error(identity.auth.SignUp(request)) for _ in range(20)))
    assert Counter(one.reason for one in error) == {"REQUEST_ID_REUSED": 1, "SIGN_IN_RATE_LIMITED": 19}


async def test_twenty_concurrent_refreshes_return_one_successor(identity: Identity) -> None:
    ida = await identity.sign_up()
    request = RefreshTokensRequest(refresh_token=ida.tokens.refresh_token)
    answers = await asyncio.gather(*(identity.auth.RefreshTokens(request) for _ in range(20)))
    [successor] = {answer.refresh_token for answer in answers}
    assert successor != ida.tokens.refresh_token
    await identity.auth.RefreshTokens(RefreshTokensRequest(refresh_token=successor))


async def test_a_refresh_token_used_twice_ends_the_sign_in(identity: Identity) -> None:
    eve = await identity.sign_up()
    stolen = eve.tokens.refresh_token
    await identity.refresh(eve)
    await identity.refresh(eve)
    error = await expect_error(identity.auth.RefreshTokens(RefreshTokensRequest(refresh_token=stolen)))
    assert (error.code, error.reason) == ("UNAUTHENTICATED", "REFRESH_TOKEN_INVALID")
    assert (await expect_error(identity.refresh(eve))).reason == "REFRESH_TOKEN_INVALID"


@pytest.mark.parametrize("text", ["", "a.b.c", "x" * 200, "018f0000-0000-7000-8000-000000000001..z"])
async def test_a_malformed_refresh_token_is_rejected(identity: Identity, text: str) -> None:
    error = await expect_error(identity.auth.RefreshTokens(RefreshTokensRequest(refresh_token=text)))
    assert error.reason in {"FIELD_INVALID", "REFRESH_TOKEN_INVALID"}


async def test_signing_out_ends_only_the_current_sign_in(identity: Identity) -> None:
    zoe = await identity.sign_up("Zoe")
    other = await identity.auth.SignIn(SignInRequest(identifier="Zoe", password=PASSWORD))
    await identity.auth.SignOut(SignOutRequest(user_id="me"), **zoe.auth)
    assert (await expect_error(identity.refresh(zoe))).reason == "REFRESH_TOKEN_INVALID"
    await identity.auth.RefreshTokens(RefreshTokensRequest(refresh_token=other.refresh_token))


async def test_a_forged_token_is_rejected_instead_of_treated_as_anonymous(identity: Identity) -> None:
    max_ = await identity.sign_up()
    head, body, _ = max_.tokens.access_token.split(".")
    for token in (f"{head}.{body}.{'A' * 86}", "nonsense", f"{head}.{body}."):
        error = await expect_error(identity.users.GetUser(GetUserRequest(user_id="me"), **bearer(token)))
        assert (error.code, error.reason) == ("UNAUTHENTICATED", "TOKEN_INVALID")


def set_failures(identity: Identity, times: int, ago: timedelta = timedelta()) -> None:
    """Sets the number of failed attempts, and moves them into the past."""
    identity.execute_sql("UPDATE sign_in_failures SET failures = %s, failed_at = failed_at - %s", times, ago)
