"""Changing a password with the current password, over gRPC."""

import asyncio
from collections import Counter
from functools import partial

import grpc

from chassis.testing import eventually_error, expect_error, parse_error
from identity_service.tests.conftest import PASSWORD, Identity, Person
from meno.access.v1.resources_pb2 import AuditAction
from meno.identity.v1.auth_service_pb2 import ChangePasswordRequest, SignInRequest, SignUpRequest
from meno.identity.v1.user_service_pb2 import GetUserRequest

NEW = "two grey herons by the mill"
WRONG = "wrong" * 4


def request(old: str = PASSWORD, new: str = NEW) -> ChangePasswordRequest:
    return ChangePasswordRequest(user_id="me", old_password=old, new_password=new)


async def sign_in(identity: Identity, password: str) -> Person:
    return Person(await identity.auth.SignIn(SignInRequest(identifier="Uma", password=password)))


async def test_a_changed_password_replaces_the_old_one_and_ends_other_sign_ins(identity: Identity) -> None:
    admin, here = await identity.sign_up_admin(), await identity.sign_up("Uma")
    there = await sign_in(identity, PASSWORD)
    await identity.auth.ChangePassword(request(), **here.auth)
    reading = GetUserRequest(user_id="me")
    for person in (here, there):
        error = await eventually_error(partial(identity.users.GetUser, reading, **person.auth))
        assert error.reason == "TOKEN_REVOKED"
    assert (await expect_error(identity.refresh(there))).reason == "REFRESH_TOKEN_INVALID"
    await identity.refresh(here)
    assert (await expect_error(sign_in(identity, PASSWORD))).reason == "CREDENTIALS_INVALID"
    await sign_in(identity, NEW)
    changed = AuditAction.AUDIT_ACTION_PASSWORD_CHANGED
    entries = [
        one for one in await identity.list_audited(admin, user_id=here.user_id) if one.action == changed
    ]
    assert [one.actor_user_id for one in entries] == [here.user_id]


async def test_a_retry_changes_nothing(identity: Identity) -> None:
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


async def test_a_wrong_old_password_is_rejected_and_counted(identity: Identity) -> None:
    uma = await identity.sign_up("Uma")
    before = stored(identity)
    attempts = [
        await expect_error(identity.auth.ChangePassword(request(WRONG), **uma.auth)) for _ in range(6)
    ]
    assert [one.reason for one in attempts] == [*["CREDENTIALS_INVALID"] * 5, "SIGN_IN_RATE_LIMITED"]
    assert (
        await expect_error(identity.auth.ChangePassword(request(), **uma.auth))
    ).reason == "SIGN_IN_RATE_LIMITED"
    assert stored(identity) == before
    await sign_in(identity, PASSWORD)


async def test_the_new_password_is_no_second_guess(identity: Identity) -> None:
    uma = await identity.sign_up("Uma")
    guesses = [request(WRONG, PASSWORD), request(NEW, PASSWORD), request(WRONG, NEW)]
    for guess in guesses:
        error = await expect_error(identity.auth.ChangePassword(guess, **uma.auth))
        assert error.reason == "CREDENTIALS_INVALID"
    assert identity.read_column("SELECT failures FROM sign_in_failures") == [3]


async def test_only_the_passwords_of_the_last_change_identify_a_retry(identity: Identity) -> None:
    uma = await identity.sign_up("Uma")
    await identity.auth.ChangePassword(request(), **uma.auth)
    await identity.refresh(uma)
    for old in (WRONG, f"{PASSWORD} {NEW}"):
        error = await expect_error(identity.auth.ChangePassword(request(old), **uma.auth))
        assert error.reason == "CREDENTIALS_INVALID"
    await identity.auth.ChangePassword(request(), **uma.auth)


async def test_the_current_password_as_the_new_one_changes_nothing(identity: Identity) -> None:
    uma = await identity.sign_up("Uma")
    before = stored(identity)
    await identity.auth.ChangePassword(request(new=PASSWORD), **uma.auth)
    assert stored(identity) == before


async def test_the_correct_password_resets_the_count(identity: Identity) -> None:
    uma = await identity.sign_up("Uma")
    for _ in range(4):
        await expect_error(identity.auth.ChangePassword(request(WRONG), **uma.auth))
    weak = request(new="uma uma uma uma uma")
    assert (await expect_error(identity.auth.ChangePassword(weak, **uma.auth))).reason == "PASSWORD_COMMON"
    assert identity.count_rows("sign_in_failures") == 0


async def test_a_user_without_a_password_cannot_change_it(identity: Identity) -> None:
    uma = await identity.sign_up("Uma")
    identity.execute_sql("DELETE FROM credentials")
    error = await expect_error(identity.auth.ChangePassword(request(), **uma.auth))
    assert (error.code, error.reason) == ("UNAUTHENTICATED", "CREDENTIALS_INVALID")


async def test_a_weak_new_password_is_rejected_with_its_rule(identity: Identity) -> None:
    person = SignUpRequest(email="umadevi@example.org", display_name="Uma Rao", password=PASSWORD)
    uma = Person(await identity.auth.SignUp(person))
    for password, rule in {
        "Umadevi 1990 Umadevi": "PERSONAL",
        "rao-umadevi-1999": "PERSONAL",
        "qwertyuiopasdfghjk": "SEQUENCE",
        "to be or not to be": "COMMON",
    }.items():
        error = await expect_error(identity.auth.ChangePassword(request(new=password), **uma.auth))
        assert (error.code, error.reason) == ("INVALID_ARGUMENT", "PASSWORD_COMMON")
        assert error.metadata == {"rule": rule}


async def test_of_concurrent_changes_one_succeeds(identity: Identity) -> None:
    uma = await identity.sign_up("Uma")
    passwords = [f"{NEW} {number}" for number in "abcd"]

    async def attempt(new: str) -> str:
        try:
            await identity.auth.ChangePassword(request(new=new), **uma.auth)
        except Exception as error:
            return str(error)
        return new

    outcomes = await asyncio.gather(*map(attempt, passwords))
    [accepted] = [outcome for outcome in outcomes if outcome in passwords]
    await sign_in(identity, accepted)


async def test_concurrent_retries_of_a_change_are_recorded_once(identity: Identity) -> None:
    admin, uma = await identity.sign_up_admin(), await identity.sign_up("Uma")
    outcomes = await asyncio.gather(
        *(identity.auth.ChangePassword(request(), **uma.auth) for _ in range(4)), return_exceptions=True
    )
    # The change revokes the token of calls that arrive later.
    late = {parse_error(one).reason for one in outcomes if isinstance(one, grpc.aio.AioRpcError)}
    assert late <= {"TOKEN_REVOKED"}
    actions = Counter(one.action for one in await identity.list_audited(admin, user_id=uma.user_id))
    assert actions[AuditAction.AUDIT_ACTION_PASSWORD_CHANGED] == 1


def stored(identity: Identity) -> object:
    return identity.execute_sql("SELECT password_hash, updated_at FROM credentials")
