"""One-time codes: requested, redeemed once, and never guessed."""

import asyncio
import uuid
from collections import Counter
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from google.rpc.error_details_pb2 import BadRequest, RetryInfo

from chassis.database import Database
from chassis.testing import refused, soon_refused
from identity_service.sign_in.codes import rules
from identity_service.sign_in.tokens import purging
from identity_service.tests.conftest import PASSWORD, Identity, Person
from identity_service.tests.post import POST, Post, code_for, next_letter, wrong
from meno.access.v1.audit_service_pb2 import AuditAction
from meno.identity.v1.auth_service_pb2 import (
    RedeemOneTimeCodeRequest,
    RequestOneTimeCodeRequest,
    SignInRequest,
    SignUpRequest,
    Tokens,
)
from meno.identity.v1.user_service_pb2 import GetUserRequest

ADA = "ada@example.org"


@pytest.fixture
def more_settings() -> dict[str, Any]:
    return POST


async def redeem(identity: Identity, code: str, address: str = ADA, **values: str) -> Tokens:
    request = RedeemOneTimeCodeRequest(address=address, code=code, **values)
    return await identity.auth.RedeemOneTimeCode(request)


async def request(identity: Identity, address: str = ADA) -> Any:
    return await identity.auth.RequestOneTimeCode(RequestOneTimeCodeRequest(address=address))


def change(identity: Identity, statement: str, *values: Any) -> None:
    with psycopg.connect(identity.database_url) as connection:
        connection.execute(statement.encode(), values)


def counted(identity: Identity, table: str) -> int:
    with psycopg.connect(identity.database_url) as connection:
        [count] = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone() or [0]
    return int(count)


async def test_who_has_a_code_is_signed_up_and_then_in(identity: Identity) -> None:
    for address, name in (("Ada@Example.org", "Ada"), ("+919876543210", "Newcomer")):
        made = await redeem(identity, await code_for(identity, address), address)
        assert (made.user.display_name, address in (made.user.email, made.user.phone)) == (name, True)
        again = await redeem(identity, await code_for(identity, address), address.upper())
        assert again.user.user_id == made.user.user_id
        read = await identity.users.GetUser(GetUserRequest(user_id="me"), **Person(again).auth)
        assert read == again.user


async def test_a_code_serves_once(identity: Identity) -> None:
    code = await code_for(identity, ADA)
    outcomes = await asyncio.gather(*(redeem(identity, code) for _ in range(20)), return_exceptions=True)
    assert len([one for one in outcomes if isinstance(one, Tokens)]) == 1
    assert counted(identity, "sign_ins") == counted(identity, "users") == 1
    change(identity, "DELETE FROM sign_in_failures")
    denied = await refused(redeem(identity, code))
    assert (denied.code, denied.reason) == ("UNAUTHENTICATED", "CODE_INVALID")


async def test_the_same_request_with_the_same_code_returns_the_same_refresh_token(identity: Identity) -> None:
    code, same = await code_for(identity, ADA), {"request_id": str(uuid.uuid4()), "new_password": PASSWORD}
    answers = await asyncio.gather(*(redeem(identity, code, **same) for _ in range(20)))
    assert len({answer.refresh_token for answer in answers}) == 1
    assert counted(identity, "sign_ins") == 1
    for other in ({"code": wrong(code)}, {"new_password": PASSWORD[::-1]}):
        denied = await refused(redeem(identity, **{"code": code, **same, **other}))
        assert denied.reason == "CODE_INVALID"
    assert (await redeem(identity, code, **same)).refresh_token == answers[0].refresh_token


async def test_five_wrong_attempts_end_a_code_and_four_do_not(identity: Identity) -> None:
    # Twice, for the count begins anew.
    for _ in range(2):
        code = await code_for(identity, ADA)
        for _ in range(rules.ATTEMPTS - 1):
            assert (await refused(redeem(identity, wrong(code)))).reason == "CODE_INVALID"
        assert (await redeem(identity, code)).user.email == ADA
    code = await code_for(identity, ADA)
    for _ in range(rules.ATTEMPTS):
        assert (await refused(redeem(identity, wrong(code)))).reason == "CODE_INVALID"
    assert (await refused(redeem(identity, code))).reason == "SIGN_IN_THROTTLED"
    change(identity, "UPDATE sign_in_failures SET failed_at = failed_at - interval '1 hour'")
    assert (await refused(redeem(identity, code))).reason == "CODE_INVALID"


async def test_new_codes_give_no_new_guesses(identity: Identity) -> None:
    code = await code_for(identity, ADA)
    await refused(redeem(identity, wrong(code)))
    change(identity, "UPDATE sign_in_failures SET failures = 15")
    code = await code_for(identity, ADA)
    denied = await asyncio.gather(*(refused(redeem(identity, wrong(code))) for _ in range(5)))
    assert Counter(one.reason for one in denied) == {"SIGN_IN_THROTTLED": 5}
    assert (await refused(redeem(identity, code))).detail(RetryInfo).retry_delay.ToSeconds() > 512


async def test_codes_and_passwords_are_guessed_apart(identity: Identity) -> None:
    """Neither shuts out who has the other, and neither gives new guesses at the other."""
    await identity.auth.SignUp(
        SignUpRequest(login_name="ada", email=ADA, display_name="Ada", password=PASSWORD)
    )
    right = SignInRequest(identifier=ADA, password=PASSWORD)
    code = await code_for(identity, ADA)
    await refused(redeem(identity, wrong(code)))
    await refused(identity.auth.SignIn(SignInRequest(identifier=ADA, password=PASSWORD[::-1])))
    assert counted(identity, "sign_in_failures") == 2
    change(identity, "UPDATE sign_in_failures SET failures = 4")
    await identity.auth.SignIn(right)
    assert counted(identity, "sign_in_failures") == 1
    assert (await refused(redeem(identity, wrong(code)))).reason == "CODE_INVALID"
    assert (await refused(redeem(identity, code))).reason == "SIGN_IN_THROTTLED"
    await identity.auth.SignIn(right)


async def test_a_request_that_was_answered_once_gives_no_free_guesses(identity: Identity) -> None:
    same = {"request_id": str(uuid.uuid4())}
    person = Person(await redeem(identity, await code_for(identity, ADA), **same))
    await identity.refresh(person)
    code = await code_for(identity, ADA)
    for _ in range(rules.ATTEMPTS):
        assert (await refused(redeem(identity, wrong(code), **same))).reason == "TOKENS_ALREADY_ROTATED"
    assert (await refused(redeem(identity, code))).reason == "SIGN_IN_THROTTLED"
    change(identity, "DELETE FROM sign_in_failures")
    assert (await refused(redeem(identity, code))).reason == "CODE_INVALID"


async def test_a_code_is_for_one_address_until_it_expires_or_a_new_one_comes(identity: Identity) -> None:
    first, second = await code_for(identity, ADA), await code_for(identity, ADA.upper())
    await code_for(identity, "eve@example.org")
    for code, address in ((first, ADA), (second, "eve@example.org"), (second, "nobody"), (second, "   ")):
        if (code, address) != (second, ADA):
            assert (await refused(redeem(identity, code, address))).reason == "CODE_INVALID"
    change(identity, "UPDATE one_time_codes SET expires_at = now()")
    assert (await refused(redeem(identity, second))).reason == "CODE_INVALID"
    change(identity, "UPDATE one_time_codes SET expires_at = now() + interval '1 minute'")
    await redeem(identity, second)
    denied = await refused(request(identity, "ada at example.org"))
    [violation] = denied.detail(BadRequest).field_violations
    assert (denied.reason, violation.field) == ("FIELD_INVALID", "address")


async def test_at_most_five_codes_are_sent_in_a_row(identity: Identity) -> None:
    outcomes = await asyncio.gather(*(request(identity) for _ in range(20)), return_exceptions=True)
    assert sum(not isinstance(one, BaseException) for one in outcomes) == rules.MOST_SENT
    denied = await refused(request(identity))
    assert (denied.code, denied.reason) == ("RESOURCE_EXHAUSTED", "SIGN_IN_THROTTLED")
    wait = denied.detail(RetryInfo).retry_delay.ToTimedelta()
    assert timedelta() < wait <= rules.SENT_FORGOTTEN_AFTER
    await request(identity, "eve@example.org")
    change(identity, "UPDATE one_time_codes SET sent_at = sent_at - %s", wait)
    await request(identity)
    assert [(await next_letter()).kind for _ in range(rules.MOST_SENT + 2)]


async def test_an_address_that_nobody_has_looks_like_one_that_somebody_has(identity: Identity) -> None:
    await identity.auth.SignUp(SignUpRequest(email=ADA, display_name="Ada", password=PASSWORD))
    change(identity, "INSERT INTO app_config (key, value) VALUES ('sign_up_open', 'false')")
    answers = [await request(identity, address) for address in ("eve@example.org", ADA)]
    assert [[field.name for field, _ in answer.ListFields()] for answer in answers] == [["expire_time"]] * 2
    assert (await next_letter()).address == ADA
    assert Post.last.letters.empty()
    denied = [await refused(redeem(identity, "000000", address)) for address in ("eve@example.org", ADA)]
    assert len({str(one.status) for one in denied}) == 1


async def test_a_code_sets_a_password_and_ends_every_other_sign_in(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    before = Person(await redeem(identity, await code_for(identity, ADA)))
    code = await code_for(identity, ADA)
    weak = await refused(redeem(identity, code, new_password="passwordpassword"))
    assert weak.reason == "PASSWORD_COMMON"
    after = Person(await redeem(identity, code, new_password=PASSWORD))
    assert after.user_id == before.user_id
    assert (await refused(identity.refresh(before))).reason == "REFRESH_TOKEN_INVALID"
    read = GetUserRequest(user_id="me")
    assert (
        await soon_refused(lambda: identity.users.GetUser(read, **before.auth))
    ).reason == "RIGHTS_CHANGED"
    await identity.users.GetUser(read, **after.auth)
    await identity.refresh(after)
    assert (
        await identity.auth.SignIn(SignInRequest(identifier=ADA, password=PASSWORD))
    ).user.user_id == after.user_id
    [reset] = [
        entry
        for entry in await identity.audited(admin, user_id=after.user_id)
        if entry.action == AuditAction.AUDIT_ACTION_PASSWORD_RESET
    ]
    assert (reset.actor_user_id, dict(reset.details)) == (after.user_id, {"kind": "EMAIL"})


async def test_codes_lie_unreadable_and_are_forgotten(identity: Identity, database: Database) -> None:
    code = await code_for(identity, ADA)
    with psycopg.connect(identity.database_url) as connection:
        [row] = connection.execute("SELECT address_hash, code_hash FROM one_time_codes").fetchall()
    assert all(len(part) == 32 and code.encode() not in part and b"ada" not in part for part in row)
    for age, left in ((timedelta(), 1), (rules.SENT_FORGOTTEN_AFTER, 1), (timedelta(hours=2), 0)):
        change(identity, "UPDATE one_time_codes SET expires_at = now() - %s", age)
        await purging.purge_once(database)
        assert counted(identity, "one_time_codes") == left
