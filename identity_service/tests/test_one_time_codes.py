"""Requesting and redeeming one-time codes, over gRPC."""

import asyncio
import uuid
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from google.rpc.error_details_pb2 import BadRequest, RetryInfo

from chassis.database import Database
from chassis.testing import eventually_error, expect_error
from identity_service.sign_in import purging
from identity_service.sign_in.codes import rules
from identity_service.sign_in.passwords.hashing import Passwords
from identity_service.sign_in.throttle.rules import BACKOFF
from identity_service.tests.code_inbox import (
    ADA,
    SETTINGS,
    CodeInbox,
    next_message,
    redeem,
    request_code,
    wrong_code,
)
from identity_service.tests.conftest import PASSWORD, Identity, Person
from meno.access.v1.resources_pb2 import AuditAction
from meno.identity.v1.auth_service_pb2 import (
    RequestOneTimeCodeRequest,
    SignInRequest,
    SignUpRequest,
)
from meno.identity.v1.resources_pb2 import Tokens
from meno.identity.v1.user_service_pb2 import GetUserRequest

[FREE_ATTEMPTS, _] = BACKOFF[0]


@pytest.fixture
def more_settings() -> dict[str, Any]:
    return SETTINGS


async def request(identity: Identity, address: str = ADA) -> Any:
    return await identity.auth.RequestOneTimeCode(RequestOneTimeCodeRequest(address=address))


async def test_a_code_signs_up_and_later_signs_in(identity: Identity) -> None:
    for address, name in (("Ada@Example.org", "Ada"), ("+919876543210", "Newcomer")):
        created = await redeem(identity, await request_code(identity, address), address)
        assert (created.user.display_name, address in (created.user.email, created.user.phone)) == (
            name,
            True,
        )
        again = await redeem(identity, await request_code(identity, address), address.upper())
        assert again.user.user_id == created.user.user_id
        read = await identity.users.GetUser(GetUserRequest(user_id="me"), **Person(again).auth)
        assert read == again.user


async def test_a_code_is_valid_once(identity: Identity) -> None:
    code = await request_code(identity, ADA)
    outcomes = await asyncio.gather(*(redeem(identity, code) for _ in range(20)), return_exceptions=True)
    assert len([one for one in outcomes if isinstance(one, Tokens)]) == 1
    assert identity.count_rows("sign_ins") == identity.count_rows("users") == 1
    identity.execute_sql("DELETE FROM sign_in_failures")
    error = await expect_error(redeem(identity, code))
    assert (error.code, error.reason) == ("UNAUTHENTICATED", "CODE_INVALID")


async def test_the_same_request_with_the_same_code_returns_the_same_refresh_token(identity: Identity) -> None:
    code, same = (
        await request_code(identity, ADA),
        {"request_id": str(uuid.uuid4()), "new_password": PASSWORD},
    )
    answers = await asyncio.gather(*(redeem(identity, code, **same) for _ in range(20)))
    assert len({answer.refresh_token for answer in answers}) == 1
    assert identity.count_rows("sign_ins") == 1
    for other in ({"code": wrong_code(code)}, {"new_password": PASSWORD[::-1]}):
        error = await expect_error(redeem(identity, **{"code": code, **same, **other}))
        assert error.reason == "CODE_INVALID"
    assert (await redeem(identity, code, **same)).refresh_token == answers[0].refresh_token


async def test_five_wrong_attempts_delay_the_next_one_and_four_do_not(identity: Identity) -> None:
    # Twice, because a correct code resets the count.
    for _ in range(2):
        code = await request_code(identity, ADA)
        for _ in range(FREE_ATTEMPTS - 1):
            assert (await expect_error(redeem(identity, wrong_code(code)))).reason == "CODE_INVALID"
        assert (await redeem(identity, code)).user.email == ADA
    code = await request_code(identity, ADA)
    for _ in range(FREE_ATTEMPTS):
        assert (await expect_error(redeem(identity, wrong_code(code)))).reason == "CODE_INVALID"
    assert (await expect_error(redeem(identity, code))).reason == "SIGN_IN_RATE_LIMITED"
    identity.execute_sql("UPDATE sign_in_failures SET failed_at = failed_at - interval '1 hour'")
    assert (await redeem(identity, code)).user.email == ADA


async def test_a_wrong_code_is_rejected_before_the_new_password_is_hashed(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []

    async def check(self: Passwords, password: str, *known: str, field: str) -> None:
        hashed.append(password)

    monkeypatch.setattr(Passwords, "check", check)
    code = await request_code(identity, ADA)
    error = await expect_error(redeem(identity, wrong_code(code), new_password=PASSWORD))
    assert (error.reason, hashed) == ("CODE_INVALID", [])
    await redeem(identity, code, new_password=PASSWORD)
    assert hashed == [PASSWORD]


async def test_new_codes_do_not_allow_more_guesses(identity: Identity) -> None:
    code = await request_code(identity, ADA)
    await expect_error(redeem(identity, wrong_code(code)))
    identity.execute_sql("UPDATE sign_in_failures SET failures = 15")
    code = await request_code(identity, ADA)
    error = await asyncio.gather(*(expect_error(redeem(identity, wrong_code(code))) for _ in range(5)))
    assert Counter(one.reason for one in error) == {"SIGN_IN_RATE_LIMITED": 5}
    assert (await expect_error(redeem(identity, code))).detail(RetryInfo).retry_delay.ToSeconds() > 512


async def test_attempts_on_codes_and_passwords_are_counted_separately(identity: Identity) -> None:
    """Attempts on one neither block the other nor allow more guesses at it."""
    await identity.auth.SignUp(
        SignUpRequest(login_name="ada", email=ADA, display_name="Ada", password=PASSWORD)
    )
    right = SignInRequest(identifier=ADA, password=PASSWORD)
    code = await request_code(identity, ADA)
    await expect_error(redeem(identity, wrong_code(code)))
    await expect_error(identity.auth.SignIn(SignInRequest(identifier=ADA, password=PASSWORD[::-1])))
    assert identity.count_rows("sign_in_failures") == 2
    identity.execute_sql("UPDATE sign_in_failures SET failures = 4")
    await identity.auth.SignIn(right)
    assert identity.count_rows("sign_in_failures") == 1
    assert (await expect_error(redeem(identity, wrong_code(code)))).reason == "CODE_INVALID"
    assert (await expect_error(redeem(identity, code))).reason == "SIGN_IN_RATE_LIMITED"
    await identity.auth.SignIn(right)


async def test_retrying_a_completed_request_does_not_allow_free_guesses(identity: Identity) -> None:
    same = {"request_id": str(uuid.uuid4())}
    person = Person(await redeem(identity, await request_code(identity, ADA), **same))
    await identity.refresh(person)
    code = await request_code(identity, ADA)
    for _ in range(FREE_ATTEMPTS):
        assert (
            await expect_error(redeem(identity, wrong_code(code), **same))
        ).reason == "TOKENS_ALREADY_ROTATED"
    assert (await expect_error(redeem(identity, code))).reason == "SIGN_IN_RATE_LIMITED"
    identity.execute_sql("DELETE FROM sign_in_failures")
    await redeem(identity, code)


async def test_a_code_is_valid_for_one_address_until_it_expires_or_is_replaced(identity: Identity) -> None:
    first, second = await request_code(identity, ADA), await request_code(identity, ADA.upper())
    await request_code(identity, "eve@example.org")
    for code, address in ((first, ADA), (second, "eve@example.org"), (second, "nobody"), (second, "   ")):
        if (code, address) != (second, ADA):
            assert (await expect_error(redeem(identity, code, address))).reason == "CODE_INVALID"
    identity.execute_sql("UPDATE one_time_codes SET expires_at = now()")
    assert (await expect_error(redeem(identity, second))).reason == "CODE_INVALID"
    identity.execute_sql("UPDATE one_time_codes SET expires_at = now() + interval '1 minute'")
    await redeem(identity, second)
    error = await expect_error(request(identity, "ada at example.org"))
    [violation] = error.detail(BadRequest).field_violations
    assert (error.reason, violation.field) == ("FIELD_INVALID", "address")


async def test_at_most_five_codes_are_sent_in_a_row(identity: Identity) -> None:
    outcomes = await asyncio.gather(*(request(identity) for _ in range(20)), return_exceptions=True)
    assert sum(not isinstance(one, BaseException) for one in outcomes) == rules.MAX_SENDS
    error = await expect_error(request(identity))
    assert (error.code, error.reason) == ("RESOURCE_EXHAUSTED", "SIGN_IN_RATE_LIMITED")
    wait = error.detail(RetryInfo).retry_delay.ToTimedelta()
    assert timedelta() < wait <= rules.SEND_WINDOW
    await request(identity, "eve@example.org")
    identity.execute_sql("UPDATE one_time_codes SET sent_at = sent_at - %s", wait)
    await request(identity)
    assert [(await next_message()).kind for _ in range(rules.MAX_SENDS + 2)]


async def test_responses_do_not_reveal_whether_an_address_has_an_account(identity: Identity) -> None:
    await identity.auth.SignUp(SignUpRequest(email=ADA, display_name="Ada", password=PASSWORD))
    identity.execute_sql("INSERT INTO app_config (key, value) VALUES ('sign_up_enabled', 'false')")
    answers = [await request(identity, address) for address in ("eve@example.org", ADA)]
    assert [[field.name for field, _ in answer.ListFields()] for answer in answers] == [["expire_time"]] * 2
    assert (await next_message()).address == ADA
    assert CodeInbox.last.messages.empty()
    error = [await expect_error(redeem(identity, "000000", address)) for address in ("eve@example.org", ADA)]
    assert len({str(one.status) for one in error}) == 1


async def test_a_code_sets_a_password_and_ends_every_other_sign_in(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    before = Person(await redeem(identity, await request_code(identity, ADA)))
    code = await request_code(identity, ADA)
    weak = await expect_error(redeem(identity, code, new_password="passwordpassword"))
    assert weak.reason == "PASSWORD_COMMON"
    after = Person(await redeem(identity, code, new_password=PASSWORD))
    assert after.user_id == before.user_id
    assert (await expect_error(identity.refresh(before))).reason == "REFRESH_TOKEN_INVALID"
    read = GetUserRequest(user_id="me")
    assert (
        await eventually_error(lambda: identity.users.GetUser(read, **before.auth))
    ).reason == "TOKEN_REVOKED"
    await identity.users.GetUser(read, **after.auth)
    await identity.refresh(after)
    assert (
        await identity.auth.SignIn(SignInRequest(identifier=ADA, password=PASSWORD))
    ).user.user_id == after.user_id
    [reset] = [
        entry
        for entry in await identity.list_audited(admin, user_id=after.user_id)
        if entry.action == AuditAction.AUDIT_ACTION_PASSWORD_RESET
    ]
    assert (reset.actor_user_id, dict(reset.details)) == (after.user_id, {"kind": "EMAIL"})


async def test_codes_are_stored_as_hashes_and_deleted(identity: Identity, database: Database) -> None:
    code = await request_code(identity, ADA)
    [row] = identity.execute_sql(
        "SELECT address_hash, code_hash FROM one_time_codes WHERE code_hash IS NOT NULL"
    )
    assert all(len(part) == 32 and code.encode() not in part and b"ada" not in part for part in row)
    for age, remaining in ((timedelta(), 2), (rules.SEND_WINDOW, 2), (timedelta(hours=2), 0)):
        identity.execute_sql("UPDATE one_time_codes SET expires_at = now() - %s", age)
        await purging.purge_once(database)
        assert identity.count_rows("one_time_codes") == remaining
