"""Sign-ins: how they are listed, how they end, and who is let in no more."""

import asyncio
import uuid
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from argon2 import PasswordHasher
from google.rpc.error_details_pb2 import RetryInfo

from chassis.database import Database
from chassis.testing import refused, soon_refused
from identity_service.sign_in.tokens import purging
from identity_service.sign_in.tokens import store as tokens
from identity_service.tests.conftest import PASSWORD, Identity, Person
from meno.access.v1.audit_service_pb2 import AuditAction
from meno.identity.v1.auth_service_pb2 import (
    ListSignInsRequest,
    ListSignInsResponse,
    RefreshTokensRequest,
    SignInRequest,
    SignOutEverywhereRequest,
    SignOutRequest,
)
from meno.identity.v1.user_service_pb2 import GetUserRequest

WAITS = {
    5: timedelta(seconds=1),
    14: timedelta(seconds=512),
    15: timedelta(minutes=15),
    99: timedelta(minutes=15),
    100: timedelta(days=1),
    1000: timedelta(days=1),
}
"""What a name waits after so many failures."""


async def sign_in(identity: Identity, person: Person) -> Person:
    """The same person on another device."""
    request = SignInRequest(identifier=person.tokens.user.login_name, password=PASSWORD)
    return Person(await identity.auth.SignIn(request))


async def listed(identity: Identity, person: Person, **page: object) -> ListSignInsResponse:
    return await identity.auth.ListSignIns(ListSignInsRequest(user_id="me", **page), **person.auth)  # type: ignore[arg-type]


async def sign_in_id(identity: Identity, person: Person) -> str:
    [current] = [one for one in (await listed(identity, person)).sign_ins if one.current]
    return current.sign_in_id


async def is_refused_soon(identity: Identity, person: Person) -> str:
    return (
        await soon_refused(lambda: identity.users.GetUser(GetUserRequest(user_id="me"), **person.auth))
    ).reason


async def is_let_in(identity: Identity, person: Person) -> bool:
    user = await identity.users.GetUser(GetUserRequest(user_id="me"), **person.auth)
    return user.user_id == person.user_id


async def test_sign_ins_are_listed_newest_first(identity: Identity) -> None:
    phone = await identity.sign_up("Ada")
    tablet, laptop = await sign_in(identity, phone), await sign_in(identity, phone)
    await identity.refresh(tablet)
    ids = [await sign_in_id(identity, person) for person in (laptop, tablet, phone)]
    found = (await listed(identity, tablet)).sign_ins
    assert [one.sign_in_id for one in found] == ids
    assert [one.current for one in found] == [False, True, False]
    assert [one.refresh_time.ToDatetime() > one.create_time.ToDatetime() for one in found] == [
        *(False, True, False)
    ]
    assert found[1].expire_time == tablet.tokens.refresh_token_expire_time


async def test_pages_of_sign_ins_hold_each_once(identity: Identity) -> None:
    ada = await identity.sign_up("Ada")
    for _ in range(4):
        await sign_in(identity, ada)
    everything = [one.sign_in_id for one in (await listed(identity, ada)).sign_ins]
    token, found = "", []
    while True:
        page = await listed(identity, ada, page_size=2, page_token=token)
        found += [one.sign_in_id for one in page.sign_ins]
        token = page.next_page_token
        if not token:
            break
    assert (found, len({*found})) == (everything, 5)


@pytest.mark.parametrize("spelling", [str.lower, str.upper])
async def test_a_named_sign_in_ends_everywhere_and_only_it(identity: Identity, spelling: type[str]) -> None:
    here = await identity.sign_up("Zoe")
    there = await sign_in(identity, here)
    named = spelling(await sign_in_id(identity, there))
    for _ in range(2):
        await identity.auth.SignOut(SignOutRequest(user_id="me", sign_in_id=named), **here.auth)
    assert await is_refused_soon(identity, there) == "RIGHTS_CHANGED"
    assert (await refused(identity.refresh(there))).reason == "REFRESH_TOKEN_INVALID"
    assert [one.current for one in (await listed(identity, here)).sign_ins] == [True]
    await identity.refresh(here)


async def test_signing_out_ends_the_access_token_that_asks(identity: Identity) -> None:
    zoe = await identity.sign_up()
    await identity.auth.SignOut(SignOutRequest(user_id="me"), **zoe.auth)
    assert await is_refused_soon(identity, zoe) == "RIGHTS_CHANGED"


async def test_nobody_ends_the_sign_in_of_somebody_else(identity: Identity) -> None:
    mine, yours = await identity.sign_up(), await identity.sign_up()
    request = SignOutRequest(user_id="me", sign_in_id=await sign_in_id(identity, yours))
    await identity.auth.SignOut(request, **mine.auth)
    await identity.refresh(yours)
    for denied in (
        identity.auth.SignOut(SignOutRequest(user_id=yours.user_id), **mine.auth),
        identity.auth.SignOutEverywhere(SignOutEverywhereRequest(user_id=yours.user_id), **mine.auth),
        identity.auth.ListSignIns(ListSignInsRequest(user_id=yours.user_id), **mine.auth),
    ):
        assert (await refused(denied)).reason == "ACCESS_DENIED"


async def test_everybody_can_sign_out_everywhere(identity: Identity) -> None:
    admin, here = await identity.sign_up_admin(), await identity.sign_up("Zoe")
    there = await sign_in(identity, here)
    await identity.auth.SignOutEverywhere(SignOutEverywhereRequest(user_id="me"), **here.auth)
    for person in (here, there):
        assert await is_refused_soon(identity, person) == "RIGHTS_CHANGED"
        assert (await refused(identity.refresh(person))).reason == "REFRESH_TOKEN_INVALID"
    assert await is_let_in(identity, await sign_in(identity, here))
    everywhere = AuditAction.AUDIT_ACTION_SIGNED_OUT_EVERYWHERE
    entries = [one for one in await identity.audited(admin, user_id=here.user_id) if one.action == everywhere]
    assert [one.actor_user_id for one in entries] == [here.user_id]


async def test_an_administrator_signs_others_out(identity: Identity) -> None:
    admin, zoe = await identity.sign_up_admin(), await identity.sign_up("Zoe")
    shown = await identity.auth.ListSignIns(ListSignInsRequest(user_id=zoe.user_id), **admin.auth)
    assert [one.current for one in shown.sign_ins] == [False]
    for user_id in (zoe.user_id.upper(), zoe.user_id, str(uuid.uuid4())):
        await identity.auth.SignOutEverywhere(SignOutEverywhereRequest(user_id=user_id), **admin.auth)
    assert await is_refused_soon(identity, zoe) == "RIGHTS_CHANGED"
    everywhere = AuditAction.AUDIT_ACTION_SIGNED_OUT_EVERYWHERE
    entries = [one for one in await identity.audited(admin) if one.action == everywhere]
    assert [(one.actor_user_id, one.user_id) for one in entries] == [(admin.user_id, zoe.user_id)]


async def test_a_token_used_twice_is_told_and_ends_its_access_tokens(identity: Identity) -> None:
    admin, eve = await identity.sign_up_admin(), await identity.sign_up()
    stolen = RefreshTokensRequest(refresh_token=eve.tokens.refresh_token)
    ended = await sign_in_id(identity, eve)
    await identity.refresh(eve)
    await identity.refresh(eve)
    for _ in range(2):
        assert (await refused(identity.auth.RefreshTokens(stolen))).reason == "REFRESH_TOKEN_INVALID"
    assert await is_refused_soon(identity, eve) == "RIGHTS_CHANGED"
    reused = AuditAction.AUDIT_ACTION_REFRESH_TOKEN_REUSED
    entries = [one for one in await identity.audited(admin, user_id=eve.user_id) if one.action == reused]
    assert [(one.actor_user_id, one.resource_id) for one in entries] == [("", ended)]


async def test_who_is_shut_out_learns_it_with_their_password_alone(identity: Identity) -> None:
    uma = await identity.sign_up("Uma")
    wrong = SignInRequest(identifier="Uma", password="wrong" * 4)
    for _ in range(3):
        await refused(identity.auth.SignIn(wrong))
    change(identity, "UPDATE users SET deactivated_at = now()")
    before = count(identity, "sign_ins")
    assert (await refused(identity.auth.SignIn(wrong))).reason == "CREDENTIALS_INVALID"
    assert count(identity, "sign_in_failures") == 1
    denied = await refused(sign_in(identity, uma))
    assert (denied.code, denied.reason) == ("PERMISSION_DENIED", "ACCOUNT_DEACTIVATED")
    assert (count(identity, "sign_ins"), count(identity, "sign_in_failures")) == (before, 0)
    assert (await refused(identity.refresh(uma))).reason == "REFRESH_TOKEN_INVALID"


async def test_who_has_no_password_signs_in_with_none(identity: Identity) -> None:
    uma = await identity.sign_up("Uma")
    change(identity, "DELETE FROM credentials")
    assert (await refused(sign_in(identity, uma))).reason == "CREDENTIALS_INVALID"


async def test_signing_in_replaces_a_hash_made_with_other_parameters(identity: Identity) -> None:
    uma = await identity.sign_up("Uma")
    old = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    change(identity, "UPDATE credentials SET password_hash = %s", old)
    assert (await refused(identity.auth.SignIn(SignInRequest(identifier="Uma", password="wrong" * 4)))).reason
    assert one(identity, "SELECT password_hash FROM credentials") == old
    await sign_in(identity, uma)
    renewed = str(one(identity, "SELECT password_hash FROM credentials"))
    assert renewed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    await sign_in(identity, uma)
    assert one(identity, "SELECT password_hash FROM credentials") == renewed


async def test_a_password_that_is_replaced_at_that_moment_signs_nobody_in(identity: Identity) -> None:
    uma = await identity.sign_up("Uma")
    with psycopg.connect(identity.database_url) as connection:
        connection.execute("SELECT 1 FROM users FOR UPDATE")
        attempt = asyncio.create_task(refused(sign_in(identity, uma)))
        await somebody_waits(identity)
        other = PasswordHasher().hash("two grey herons by the mill")
        connection.execute("UPDATE credentials SET password_hash = %s", [other])
    assert (await attempt).reason == "CREDENTIALS_INVALID"
    assert count(identity, "sign_ins") == 1


async def test_a_name_waits_the_longer_the_more_attempts_failed(identity: Identity) -> None:
    attempt = SignInRequest(identifier="nobody", password="wrong" * 4)
    await refused(identity.auth.SignIn(attempt))
    failed = "UPDATE sign_in_failures SET failures = %s, failed_at = now() - %s"
    for failures, wait in WAITS.items():
        change(identity, failed, failures, wait - timedelta(minutes=1))
        assert (await refused(identity.auth.SignIn(attempt))).reason == "SIGN_IN_THROTTLED", failures
        change(identity, failed, failures, wait)
        assert (await refused(identity.auth.SignIn(attempt))).reason == "CREDENTIALS_INVALID", failures


async def test_the_wait_is_told(identity: Identity) -> None:
    attempt = SignInRequest(identifier="nobody", password="wrong" * 4)
    await refused(identity.auth.SignIn(attempt))
    change(identity, "UPDATE sign_in_failures SET failures = 100")
    told = (await refused(identity.auth.SignIn(attempt))).detail(RetryInfo).retry_delay.ToTimedelta()
    assert timedelta(hours=23) < told <= timedelta(days=1)


async def test_many_failures_are_remembered_for_longer_than_a_day(
    identity: Identity, database: Database
) -> None:
    for name, failures in (("few", 1), ("more", 99), ("many", 100)):
        await refused(identity.auth.SignIn(SignInRequest(identifier=name, password="wrong" * 4)))
        change(identity, "UPDATE sign_in_failures SET failures = %s WHERE failures = 1", failures)
    change(identity, "UPDATE sign_in_failures SET failed_at = now() - interval '29 days'")
    await purging.purge_once(database)
    assert one(identity, "SELECT array_agg(failures) FROM sign_in_failures") == [100]


async def test_signing_in_is_noted(identity: Identity) -> None:
    uma = await identity.sign_up("Uma")
    change(identity, "UPDATE users SET last_sign_in_at = now() - interval '1 day'")
    await sign_in(identity, uma)
    assert one(identity, "SELECT last_sign_in_at > now() - interval '1 hour' FROM users") is True


async def test_a_token_of_nobody_refreshes_nothing(identity: Identity) -> None:
    uma = await identity.sign_up("Uma")
    change(identity, "UPDATE users SET deleted_at = now()")
    denied = await refused(identity.refresh(uma))
    assert (denied.code, denied.reason) == ("UNAUTHENTICATED", "REFRESH_TOKEN_INVALID")


async def somebody_waits(identity: Identity) -> None:
    """Returns once a transaction of the service waits for another."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    while True:
        if one(identity, waiting):
            return
        await asyncio.sleep(0.01)


def change(identity: Identity, statement: str, *values: object) -> None:
    with psycopg.connect(identity.database_url) as connection:
        connection.execute(statement.encode(), values)


def one(identity: Identity, query: str) -> object:
    with psycopg.connect(identity.database_url) as connection:
        [value] = connection.execute(query.encode()).fetchone() or [None]
        return value


def count(identity: Identity, table: str) -> object:
    return one(identity, f"SELECT count(*) FROM {table}")


async def test_a_refresh_that_a_sign_out_everywhere_overtakes_gives_no_token(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    thief = await identity.sign_up("ada")
    owner = Person(await identity.auth.SignIn(SignInRequest(identifier="ada", password=PASSWORD)))
    subject = tokens.subject

    async def overtaken(*of: Any) -> tokens.SubjectRow | None:
        monkeypatch.setattr(tokens, "subject", subject)
        await identity.auth.SignOutEverywhere(SignOutEverywhereRequest(user_id="me"), **owner.auth)
        return await subject(*of)

    monkeypatch.setattr(tokens, "subject", overtaken)
    assert (await refused(identity.refresh(thief))).reason == "REFRESH_TOKEN_INVALID"
