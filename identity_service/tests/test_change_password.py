"""Changing a password, by who knows it."""

import asyncio
from collections import Counter
from functools import partial

import grpc
import psycopg

from chassis.testing import refusal, refused, soon_refused
from identity_service.tests.conftest import PASSWORD, Identity, Person
from meno.access.v1.audit_service_pb2 import AuditAction
from meno.identity.v1.auth_service_pb2 import ChangePasswordRequest, SignInRequest, SignUpRequest
from meno.identity.v1.user_service_pb2 import GetUserRequest

NEW = "two grey herons by the mill"
WRONG = "wrong" * 4


def request(old: str = PASSWORD, new: str = NEW) -> ChangePasswordRequest:
    return ChangePasswordRequest(user_id="me", old_password=old, new_password=new)


async def sign_in(identity: Identity, password: str) -> Person:
    return Person(await identity.auth.SignIn(SignInRequest(identifier="Uma", password=password)))


async def test_the_new_password_takes_the_place_of_the_old(identity: Identity) -> None:
    admin, here = await identity.sign_up_admin(), await identity.sign_up("Uma")
    there = await sign_in(identity, PASSWORD)
    await identity.auth.ChangePassword(request(), **here.auth)
    reading = GetUserRequest(user_id="me")
    for person in (here, there):
        denied = await soon_refused(partial(identity.users.GetUser, reading, **person.auth))
        assert denied.reason == "RIGHTS_CHANGED"
    assert (await refused(identity.refresh(there))).reason == "REFRESH_TOKEN_INVALID"
    await identity.refresh(here)
    assert (await refused(sign_in(identity, PASSWORD))).reason == "CREDENTIALS_INVALID"
    await sign_in(identity, NEW)
    changed = AuditAction.AUDIT_ACTION_PASSWORD_CHANGED
    entries = [one for one in await identity.audited(admin, user_id=here.user_id) if one.action == changed]
    assert [one.actor_user_id for one in entries] == [here.user_id]


async def test_a_repetition_changes_nothing(identity: Identity) -> None:
    here = await identity.sign_up("Uma")
    await identity.auth.ChangePassword(request(), **here.auth)
    await identity.refresh(here)
    there = await sign_in(identity, NEW)
    before = stored(identity)
    await identity.auth.ChangePassword(request(), **here.auth)
    assert stored(identity) == before
    for person in (here, there):
        await identity.users.GetUser(GetUserRequest(user_id="me"), **person.auth)
        await identity.refresh(person)


async def test_a_wrong_old_password_is_refused_and_counted(identity: Identity) -> None:
    uma = await identity.sign_up("Uma")
    before = stored(identity)
    attempts = [await refused(identity.auth.ChangePassword(request(WRONG), **uma.auth)) for _ in range(6)]
    assert [one.reason for one in attempts] == [*["CREDENTIALS_INVALID"] * 5, "SIGN_IN_THROTTLED"]
    assert (await refused(identity.auth.ChangePassword(request(), **uma.auth))).reason == "SIGN_IN_THROTTLED"
    assert stored(identity) == before
    await sign_in(identity, PASSWORD)


async def test_the_right_password_begins_the_count_anew(identity: Identity) -> None:
    uma = await identity.sign_up("Uma")
    for _ in range(4):
        await refused(identity.auth.ChangePassword(request(WRONG), **uma.auth))
    weak = request(new="uma uma uma uma uma")
    assert (await refused(identity.auth.ChangePassword(weak, **uma.auth))).reason == "PASSWORD_COMMON"
    with psycopg.connect(identity.database_url) as connection:
        assert connection.execute("SELECT count(*) FROM sign_in_failures").fetchone() == (0,)


async def test_who_has_no_password_changes_none(identity: Identity) -> None:
    uma = await identity.sign_up("Uma")
    with psycopg.connect(identity.database_url) as connection:
        connection.execute("DELETE FROM credentials")
    denied = await refused(identity.auth.ChangePassword(request(), **uma.auth))
    assert (denied.code, denied.reason) == ("UNAUTHENTICATED", "CREDENTIALS_INVALID")


async def test_a_weak_new_password_is_refused_with_its_rule(identity: Identity) -> None:
    person = SignUpRequest(email="umadevi@example.org", display_name="Uma Rao", password=PASSWORD)
    uma = Person(await identity.auth.SignUp(person))
    for password, rule in {
        "Umadevi 1990 Umadevi": "PERSONAL",
        "rao-umadevi-1999": "PERSONAL",
        "qwertyuiopasdfghjk": "SEQUENCE",
        "to be or not to be": "COMMON",
    }.items():
        denied = await refused(identity.auth.ChangePassword(request(new=password), **uma.auth))
        assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "PASSWORD_COMMON")
        assert denied.metadata == {"rule": rule}


async def test_of_changes_at_the_same_time_one_is_made(identity: Identity) -> None:
    uma = await identity.sign_up("Uma")
    wishes = [f"{NEW} {number}" for number in "abcd"]

    async def attempt(new: str) -> str:
        try:
            await identity.auth.ChangePassword(request(new=new), **uma.auth)
        except Exception as error:
            return str(error)
        return new

    outcomes = await asyncio.gather(*map(attempt, wishes))
    [made] = [outcome for outcome in outcomes if outcome in wishes]
    await sign_in(identity, made)


async def test_a_change_that_is_sent_twice_at_once_is_made_once(identity: Identity) -> None:
    admin, uma = await identity.sign_up_admin(), await identity.sign_up("Uma")
    outcomes = await asyncio.gather(
        *(identity.auth.ChangePassword(request(), **uma.auth) for _ in range(4)), return_exceptions=True
    )
    # One that comes late finds its token ended.
    late = {refusal(one).reason for one in outcomes if isinstance(one, grpc.aio.AioRpcError)}
    assert late <= {"RIGHTS_CHANGED"}
    actions = Counter(one.action for one in await identity.audited(admin, user_id=uma.user_id))
    assert actions[AuditAction.AUDIT_ACTION_PASSWORD_CHANGED] == 1


def stored(identity: Identity) -> object:
    with psycopg.connect(identity.database_url) as connection:
        return connection.execute("SELECT password_hash, updated_at FROM credentials").fetchone()
