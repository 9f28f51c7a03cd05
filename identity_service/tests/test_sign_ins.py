"""Listing and ending sign-ins, and sign-in of deactivated users, over gRPC."""

import asyncio
import uuid
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from argon2 import PasswordHasher
from google.rpc.error_details_pb2 import RetryInfo

from chassis.database import Database
from chassis.testing import eventually_error, expect_error, read_pages
from identity_service.sign_in import purging
from identity_service.sign_in.tokens import store as tokens
from identity_service.sign_in.tokens.types import SubjectRow
from identity_service.tests.conftest import PASSWORD, Identity, Person
from meno.access.v1.resources_pb2 import AuditAction
from meno.identity.v1.auth_service_pb2 import (
    ListSignInsRequest,
    ListSignInsResponse,
    RefreshTokensRequest,
    SignInRequest,
    SignOutEverywhereRequest,
    SignOutRequest,
)
from meno.identity.v1.user_service_pb2 import GetUserRequest

DELAYS = {
    5: timedelta(seconds=1),
    14: timedelta(seconds=512),
    15: timedelta(minutes=15),
    49: timedelta(minutes=15),
    50: timedelta(days=1),
    100: timedelta(days=1),
    1000: timedelta(days=1),
}
"""Delay before the next attempt, by number of failures."""


async def sign_in(identity: Identity, person: Person) -> Person:
    """Signs the same user in on another device."""
    request = SignInRequest(identifier=person.tokens.user.login_name, password=PASSWORD)
    return Person(await identity.auth.SignIn(request))


async def list_sign_ins(identity: Identity, person: Person, **page: object) -> ListSignInsResponse:
    return await identity.auth.ListSignIns(ListSignInsRequest(user_id="me", **page), **person.auth)  # type: ignore[arg-type]


async def get_sign_in_id(identity: Identity, person: Person) -> str:
    [current] = [one for one in (await list_sign_ins(identity, person)).sign_ins if one.current]
    return current.sign_in_id


async def await_error(identity: Identity, person: Person) -> str:
    return (
        await eventually_error(lambda: identity.users.GetUser(GetUserRequest(user_id="me"), **person.auth))
    ).reason


async def has_access(identity: Identity, person: Person) -> bool:
    user = await identity.users.GetUser(GetUserRequest(user_id="me"), **person.auth)
    return user.user_id == person.user_id


async def test_sign_ins_are_listed_newest_first(identity: Identity) -> None:
    phone = await identity.sign_up("Ada")
    tablet, laptop = await sign_in(identity, phone), await sign_in(identity, phone)
    await identity.refresh(tablet)
    ids = [await get_sign_in_id(identity, person) for person in (laptop, tablet, phone)]
    found = (await list_sign_ins(identity, tablet)).sign_ins
    assert [one.sign_in_id for one in found] == ids
    assert [one.current for one in found] == [False, True, False]
    assert [one.refresh_time.ToDatetime() > one.create_time.ToDatetime() for one in found] == [
        *(False, True, False)
    ]
    assert found[1].expire_time == tablet.tokens.refresh_token_expire_time


async def test_pages_contain_each_sign_in_once(identity: Identity) -> None:
    ada = await identity.sign_up("Ada")
    for _ in range(4):
        await sign_in(identity, ada)
    everything = [one.sign_in_id for one in (await list_sign_ins(identity, ada)).sign_ins]
    request = ListSignInsRequest(user_id="me", page_size=2)
    pages = read_pages(identity.auth.ListSignIns, request, **ada.auth)
    found = [one.sign_in_id async for page in pages for one in page.sign_ins]
    assert (found, len({*found})) == (everything, 5)


@pytest.mark.parametrize("change_case", [str.lower, str.upper])
async def test_signing_out_with_an_id_ends_only_that_sign_in(
    identity: Identity, change_case: type[str]
) -> None:
    here = await identity.sign_up("Zoe")
    there = await sign_in(identity, here)
    sign_in_id = change_case(await get_sign_in_id(identity, there))
    for _ in range(2):
        await identity.auth.SignOut(SignOutRequest(user_id="me", sign_in_id=sign_in_id), **here.auth)
    assert await await_error(identity, there) == "TOKEN_REVOKED"
    assert (await expect_error(identity.refresh(there))).reason == "REFRESH_TOKEN_INVALID"
    assert [one.current for one in (await list_sign_ins(identity, here)).sign_ins] == [True]
    await identity.refresh(here)


async def test_signing_out_revokes_the_access_token_of_the_caller(identity: Identity) -> None:
    zoe = await identity.sign_up()
    await identity.auth.SignOut(SignOutRequest(user_id="me"), **zoe.auth)
    assert await await_error(identity, zoe) == "TOKEN_REVOKED"


async def test_a_user_cannot_end_sign_ins_of_another_user(identity: Identity) -> None:
    mine, yours = await identity.sign_up(), await identity.sign_up()
    request = SignOutRequest(user_id="me", sign_in_id=await get_sign_in_id(identity, yours))
    await identity.auth.SignOut(request, **mine.auth)
    await identity.refresh(yours)
    for error in (
        identity.auth.SignOut(SignOutRequest(user_id=yours.user_id), **mine.auth),
        identity.auth.SignOutEverywhere(SignOutEverywhereRequest(user_id=yours.user_id), **mine.auth),
        identity.auth.ListSignIns(ListSignInsRequest(user_id=yours.user_id), **mine.auth),
    ):
        assert (await expect_error(error)).reason == "ACCESS_DENIED"


async def test_a_user_can_sign_out_everywhere(identity: Identity) -> None:
    admin, here = await identity.sign_up_admin(), await identity.sign_up("Zoe")
    there = await sign_in(identity, here)
    await identity.auth.SignOutEverywhere(SignOutEverywhereRequest(user_id="me"), **here.auth)
    for person in (here, there):
        assert await await_error(identity, person) == "TOKEN_REVOKED"
        assert (await expect_error(identity.refresh(person))).reason == "REFRESH_TOKEN_INVALID"
    assert await has_access(identity, await sign_in(identity, here))
    everywhere = AuditAction.AUDIT_ACTION_SIGNED_OUT_EVERYWHERE
    entries = [
        one for one in await identity.list_audited(admin, user_id=here.user_id) if one.action == everywhere
    ]
    assert [one.actor_user_id for one in entries] == [here.user_id]


async def test_an_administrator_can_sign_other_users_out(identity: Identity) -> None:
    admin, zoe = await identity.sign_up_admin(), await identity.sign_up("Zoe")
    shown = await identity.auth.ListSignIns(ListSignInsRequest(user_id=zoe.user_id), **admin.auth)
    assert [one.current for one in shown.sign_ins] == [False]
    for user_id in (zoe.user_id.upper(), zoe.user_id, str(uuid.uuid4())):
        await identity.auth.SignOutEverywhere(SignOutEverywhereRequest(user_id=user_id), **admin.auth)
    assert await await_error(identity, zoe) == "TOKEN_REVOKED"
    everywhere = AuditAction.AUDIT_ACTION_SIGNED_OUT_EVERYWHERE
    entries = [one for one in await identity.list_audited(admin) if one.action == everywhere]
    assert [(one.actor_user_id, one.user_id) for one in entries] == [(admin.user_id, zoe.user_id)]


async def test_reuse_of_a_refresh_token_is_audited_and_revokes_access_tokens(identity: Identity) -> None:
    admin, eve = await identity.sign_up_admin(), await identity.sign_up()
    stolen = RefreshTokensRequest(refresh_token=eve.tokens.refresh_token)
    ended = await get_sign_in_id(identity, eve)
    await identity.refresh(eve)
    await identity.refresh(eve)
    for _ in range(2):
        assert (await expect_error(identity.auth.RefreshTokens(stolen))).reason == "REFRESH_TOKEN_INVALID"
    assert await await_error(identity, eve) == "TOKEN_REVOKED"
    reused = AuditAction.AUDIT_ACTION_REFRESH_TOKEN_REUSED
    entries = [one for one in await identity.list_audited(admin, user_id=eve.user_id) if one.action == reused]
    assert [(one.actor_user_id, one.resource_id) for one in entries] == [("", ended)]


async def test_a_refresh_token_that_was_never_issued_has_no_effect(identity: Identity) -> None:
    admin, eve = await identity.sign_up_admin(), await identity.sign_up()
    user_id, sign_in_id, _ = eve.tokens.refresh_token.split(".")
    issued_to_another = admin.tokens.refresh_token.split(".")[2]
    for secret in ("x", f"x-{'0' * 32}", issued_to_another):
        forged = RefreshTokensRequest(refresh_token=f"{user_id}.{sign_in_id}.{secret}")
        assert (await expect_error(identity.auth.RefreshTokens(forged))).reason == "REFRESH_TOKEN_INVALID"
    await identity.refresh(eve)
    reused = AuditAction.AUDIT_ACTION_REFRESH_TOKEN_REUSED
    assert reused not in {one.action for one in await identity.list_audited(admin)}


async def test_deactivation_is_reported_only_with_the_correct_password(identity: Identity) -> None:
    uma = await identity.sign_up("Uma")
    wrong = SignInRequest(identifier="Uma", password="wrong" * 4)
    for _ in range(3):
        await expect_error(identity.auth.SignIn(wrong))
    identity.execute_sql("UPDATE users SET deactivated_at = now()")
    before = identity.count_rows("sign_ins")
    assert (await expect_error(identity.auth.SignIn(wrong))).reason == "CREDENTIALS_INVALID"
    assert identity.count_rows("sign_in_failures") == 1
    error = await expect_error(sign_in(identity, uma))
    assert (error.code, error.reason) == ("PERMISSION_DENIED", "ACCOUNT_DEACTIVATED")
    assert (identity.count_rows("sign_ins"), identity.count_rows("sign_in_failures")) == (before, 0)
    assert (await expect_error(identity.refresh(uma))).reason == "REFRESH_TOKEN_INVALID"


async def test_a_user_without_a_password_cannot_sign_in_with_one(identity: Identity) -> None:
    uma = await identity.sign_up("Uma")
    identity.execute_sql("DELETE FROM credentials")
    assert (await expect_error(sign_in(identity, uma))).reason == "CREDENTIALS_INVALID"


async def test_signing_in_replaces_a_hash_with_outdated_parameters(
    production_hashing: None, identity: Identity
) -> None:
    uma = await identity.sign_up("Uma")
    old = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    identity.execute_sql("UPDATE credentials SET password_hash = %s", old)
    assert (
        await expect_error(identity.auth.SignIn(SignInRequest(identifier="Uma", password="wrong" * 4)))
    ).reason
    assert identity.read_column("SELECT password_hash FROM credentials") == [old]
    await sign_in(identity, uma)
    [renewed] = identity.read_column("SELECT password_hash FROM credentials")
    assert renewed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    await sign_in(identity, uma)
    assert identity.read_column("SELECT password_hash FROM credentials") == [renewed]


async def test_a_password_that_is_replaced_concurrently_does_not_sign_in(identity: Identity) -> None:
    uma = await identity.sign_up("Uma")
    with psycopg.connect(identity.database_url) as connection:
        connection.execute("SELECT 1 FROM users FOR UPDATE")
        attempt = asyncio.create_task(expect_error(sign_in(identity, uma)))
        await identity.wait_for_lock()
        other = PasswordHasher().hash("two grey herons by the mill")
        connection.execute("UPDATE credentials SET password_hash = %s", [other])
    assert (await attempt).reason == "CREDENTIALS_INVALID"
    assert identity.count_rows("sign_ins") == 1


async def test_the_delay_grows_with_the_number_of_failures(identity: Identity) -> None:
    attempt = SignInRequest(identifier="nobody", password="wrong" * 4)
    await expect_error(identity.auth.SignIn(attempt))
    failed = "UPDATE sign_in_failures SET failures = %s, failed_at = now() - %s"
    for failures, delay in DELAYS.items():
        identity.execute_sql(failed, failures, delay - timedelta(minutes=1))
        assert (await expect_error(identity.auth.SignIn(attempt))).reason == "SIGN_IN_RATE_LIMITED", failures
        identity.execute_sql(failed, failures, delay)
        assert (await expect_error(identity.auth.SignIn(attempt))).reason == "CREDENTIALS_INVALID", failures


async def test_the_error_contains_the_delay(identity: Identity) -> None:
    attempt = SignInRequest(identifier="nobody", password="wrong" * 4)
    await expect_error(identity.auth.SignIn(attempt))
    identity.execute_sql("UPDATE sign_in_failures SET failures = 100")
    delay = (await expect_error(identity.auth.SignIn(attempt))).detail(RetryInfo).retry_delay.ToTimedelta()
    assert timedelta(hours=23) < delay <= timedelta(days=1)


async def test_many_failures_are_kept_for_longer_than_a_day(identity: Identity, database: Database) -> None:
    for name, failures in (("few", 1), ("more", 49), ("many", 100)):
        await expect_error(identity.auth.SignIn(SignInRequest(identifier=name, password="wrong" * 4)))
        identity.execute_sql("UPDATE sign_in_failures SET failures = %s WHERE failures = 1", failures)
    identity.execute_sql("UPDATE sign_in_failures SET failed_at = now() - interval '29 days'")
    await purging.purge_once(database)
    assert identity.read_column("SELECT array_agg(failures) FROM sign_in_failures") == [[100]]


async def test_signing_in_updates_the_last_sign_in_time(identity: Identity) -> None:
    uma = await identity.sign_up("Uma")
    identity.execute_sql("UPDATE users SET last_sign_in_at = now() - interval '1 day'")
    await sign_in(identity, uma)
    assert identity.read_column("SELECT last_sign_in_at > now() - interval '1 hour' FROM users") == [True]


async def test_a_refresh_token_of_a_deleted_user_is_rejected(identity: Identity) -> None:
    uma = await identity.sign_up("Uma")
    identity.execute_sql("UPDATE users SET deleted_at = now()")
    error = await expect_error(identity.refresh(uma))
    assert (error.code, error.reason) == ("UNAUTHENTICATED", "REFRESH_TOKEN_INVALID")


async def test_a_sign_out_everywhere_during_a_refresh_prevents_the_new_token(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    thief = await identity.sign_up("ada")
    owner = Person(await identity.auth.SignIn(SignInRequest(identifier="ada", password=PASSWORD)))
    get_subject = tokens.get_subject

    async def sign_out_first(*arguments: Any) -> SubjectRow | None:
        monkeypatch.setattr(tokens, "get_subject", get_subject)
        await identity.auth.SignOutEverywhere(SignOutEverywhereRequest(user_id="me"), **owner.auth)
        return await get_subject(*arguments)

    monkeypatch.setattr(tokens, "get_subject", sign_out_first)
    assert (await expect_error(identity.refresh(thief))).reason == "REFRESH_TOKEN_INVALID"
