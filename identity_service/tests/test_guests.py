"""Guest sign-in, and the merge of a guest into another account, over gRPC."""

import asyncio
import base64
import json
import uuid
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest

from chassis.conversions import to_timestamp
from chassis.database import Database
from chassis.testing import eventually_error, expect_error
from identity_service.account_feed import store as feed
from identity_service.tests.conftest import Identity, Person
from meno.access.v1.access_pb2 import GlobalRole
from meno.access.v1.resources_pb2 import AuditAction
from meno.identity.v1.auth_service_pb2 import (
    ListSignInsRequest,
    MergeGuestRequest,
    RefreshTokensRequest,
    SignInAsGuestRequest,
)
from meno.identity.v1.class_service_pb2 import JoinClassRequest
from meno.identity.v1.resources_pb2 import XP_REASON_QUIZ_GRADED, User
from meno.identity.v1.user_service_pb2 import AwardXpRequest, GetUserRequest, RecordActivityRequest
from meno.identity.v1.user_service_pb2_grpc import UserServiceStub

TODAY = date(2026, 5, 4)


async def guest(identity: Identity, **values: str) -> Person:
    return Person(await identity.auth.SignInAsGuest(SignInAsGuestRequest(**values)))


def merge_request(guest: Person) -> MergeGuestRequest:
    return MergeGuestRequest(user_id="me", guest_refresh_token=guest.tokens.refresh_token)


async def merge(identity: Identity, guest: Person, person: Person) -> User:
    return await identity.auth.MergeGuest(merge_request(guest), **person.auth)


async def test_a_guest_is_signed_in_and_marked_as_guest(identity: Identity) -> None:
    unnamed, named = await guest(identity), await guest(identity, display_name=" Mo ")
    assert [one.tokens.user.display_name for one in (unnamed, named)] == ["Guest", "Mo"]
    assert unnamed.tokens.user.role == GlobalRole.GLOBAL_ROLE_STUDENT
    await identity.refresh(named)
    user = await identity.users.GetUser(GetUserRequest(user_id="me"), **named.auth)
    assert user.user_id == named.user_id
    for one in (unnamed, named):
        assert claims(one)["guest"] is True


async def test_a_guest_cannot_join_a_class_or_merge_another_guest(identity: Identity) -> None:
    somebody, other = await guest(identity), await guest(identity)
    for attempt in (
        identity.classes.JoinClass(JoinClassRequest(user_id="me", join_code="ABCDEFGH"), **somebody.auth),
        merge(identity, other, somebody),
    ):
        assert (await expect_error(attempt)).reason == "ACCESS_DENIED"


async def test_guest_sign_in_can_be_disabled(identity: Identity) -> None:
    admin = await identity.sign_up_admin()
    await identity.set_config(admin, "guest_sign_in_enabled", False)
    error = await expect_error(guest(identity))
    assert (error.code, error.reason) == ("PERMISSION_DENIED", "GUEST_SIGN_IN_DISABLED")


async def test_a_merge_moves_all_data_of_the_guest(identity: Identity, database: Database) -> None:
    admin, ada, mo = await identity.sign_up_admin(), await identity.sign_up("Ada"), await guest(identity)
    award(identity, ada, 300, 20)
    award(identity, mo, 45, 1)
    study(identity, ada, {3: 1, 1: 1})
    study(identity, mo, {2: 1, 1: 2, 0: 3})
    identity.execute_sql("INSERT INTO user_settings (user_id) VALUES (%s)", mo.user_id)
    merged = await merge(identity, mo, ada)
    assert (merged.user_id, merged.login_name) == (ada.user_id, "Ada")
    query = "SELECT xp, level, streak, streak_day FROM users WHERE user_id = %s"
    assert identity.execute_sql(query, ada.user_id) == [(366, 0, 4, TODAY)]
    assert identity.execute_sql("SELECT day, streak FROM activity_days ORDER BY day") == [
        (TODAY - timedelta(days=ago), 4 - ago) for ago in (3, 2, 1, 0)
    ]
    for table in ("xp_entries", "activity_days", "user_settings"):
        assert identity.execute_sql(f"SELECT 1 FROM {table} WHERE user_id = %s", mo.user_id) == []
    tombstone = (
        "SELECT guest, xp, deleted_at IS NOT NULL, merged_into_user_id::text FROM users WHERE user_id = %s"
    )
    assert identity.execute_sql(tombstone, mo.user_id) == [(True, 0, True, ada.user_id)]
    [event] = [one for one in await feed.list_after(database, 0) if one.kind == "user_merged"]
    assert event.body == {"user_id": mo.user_id, "into_user_id": ada.user_id}
    entries = await identity.list_audited(admin, user_id=ada.user_id)
    merges = [one for one in entries if one.action == AuditAction.AUDIT_ACTION_GUEST_MERGED]
    assert [(one.actor_user_id, one.resource_id) for one in merges] == [(ada.user_id, mo.user_id)]


async def test_data_that_arrives_after_a_merge_belongs_to_the_user(identity: Identity) -> None:
    ada, mo = await identity.sign_up(), await guest(identity)
    session_service = UserServiceStub(identity.service.channel("session_service"))
    before = AwardXpRequest(
        request_id=str(uuid.uuid4()), user_id=mo.user_id, amount=5, reason=XP_REASON_QUIZ_GRADED
    )
    late = AwardXpRequest(
        request_id=str(uuid.uuid4()), user_id=mo.user_id, amount=7, reason=XP_REASON_QUIZ_GRADED
    )
    entry = await session_service.AwardXp(before)
    await merge(identity, mo, ada)
    assert await session_service.AwardXp(before) == entry
    assert (await session_service.AwardXp(late)).amount == late.amount
    await session_service.RecordActivity(
        RecordActivityRequest(user_id=mo.user_id, activity_time=to_timestamp(datetime.now(UTC)))
    )
    person = await identity.users.GetUser(GetUserRequest(user_id="me"), **ada.auth)
    assert (person.xp, person.streak_days) == (before.amount + late.amount, 1)


async def test_the_tokens_of_a_merged_guest_are_revoked(identity: Identity) -> None:
    ada, mo = await identity.sign_up(), await guest(identity)
    await merge(identity, mo, ada)
    reading = GetUserRequest(user_id="me")
    error = await eventually_error(
        lambda: identity.auth.ListSignIns(ListSignInsRequest(user_id="me"), **mo.auth)
    )
    assert error.reason == "TOKEN_REVOKED"
    assert (await expect_error(identity.refresh(mo))).reason == "REFRESH_TOKEN_INVALID"
    await identity.users.GetUser(reading, **ada.auth)


async def test_a_guest_is_merged_once(identity: Identity) -> None:
    ada, eve, mo = await identity.sign_up(), await identity.sign_up(), await guest(identity)
    award(identity, mo, 45)
    merged = await merge(identity, mo, ada)
    assert await merge(identity, mo, ada) == merged
    error = await expect_error(merge(identity, mo, eve))
    assert (error.code, error.reason) == ("UNAUTHENTICATED", "REFRESH_TOKEN_INVALID")


async def test_twenty_concurrent_merges_have_one_effect(identity: Identity, database: Database) -> None:
    ada, mo = await identity.sign_up(), await guest(identity)
    award(identity, mo, 45)
    answers = await asyncio.gather(*(merge(identity, mo, ada) for _ in range(20)))
    assert {answer.user_id for answer in answers} == {ada.user_id}
    assert identity.execute_sql("SELECT xp FROM users WHERE user_id = %s", ada.user_id) == [(45,)]
    assert len([one for one in await feed.list_after(database, 0) if one.kind == "user_merged"]) == 1


async def test_of_two_concurrent_merges_by_different_users_one_succeeds(identity: Identity) -> None:
    people, mo = [await identity.sign_up() for _ in range(2)], await guest(identity)
    award(identity, mo, 45)
    outcomes = await asyncio.gather(
        *(merge(identity, mo, people[number % 2]) for number in range(10)), return_exceptions=True
    )
    [into] = {outcome.user_id for outcome in outcomes if isinstance(outcome, User)}
    counts = identity.execute_sql("SELECT user_id::text, xp FROM users WHERE NOT guest ORDER BY xp DESC")
    assert [count for count in counts if count[1]] == [(into, 45)]


@pytest.mark.parametrize("refreshed_first", [True, False])
async def test_a_concurrent_refresh_does_not_break_a_merge(identity: Identity, refreshed_first: bool) -> None:
    ada, mo = await identity.sign_up(), await guest(identity)
    award(identity, mo, 45)
    refresh = identity.auth.RefreshTokens(RefreshTokensRequest(refresh_token=mo.tokens.refresh_token))
    merged = merge(identity, mo, ada)
    both = (refresh, merged) if refreshed_first else (merged, refresh)
    outcomes = await asyncio.gather(*both, return_exceptions=True)
    assert [outcome.user_id for outcome in outcomes if isinstance(outcome, User)] == [ada.user_id]
    assert identity.execute_sql("SELECT xp FROM users WHERE user_id = %s", ada.user_id) == [(45,)]


async def test_only_the_current_refresh_token_of_a_guest_merges_the_guest(identity: Identity) -> None:
    ada, eve, mo = await identity.sign_up(), await identity.sign_up(), await guest(identity)
    older = merge_request(mo)
    await identity.refresh(mo)
    identity.execute_sql("UPDATE sign_ins SET rotated_at = rotated_at - interval '11 seconds'")
    forged = MergeGuestRequest(user_id="me", guest_refresh_token=f"{mo.tokens.refresh_token[:-1]}!")
    unknown = ".".join((str(uuid.uuid4()), *mo.tokens.refresh_token.split(".")[1:]))
    for request in (
        *(older, forged, merge_request(ada), merge_request(eve)),
        *(MergeGuestRequest(user_id="me", guest_refresh_token=text) for text in ("nonsense", unknown)),
    ):
        error = await expect_error(identity.auth.MergeGuest(request, **ada.auth))
        assert (error.code, error.reason) == ("UNAUTHENTICATED", "REFRESH_TOKEN_INVALID")
    # The rejected attempts did not end the sign-in of the guest.
    await identity.refresh(mo)
    await merge(identity, mo, ada)


async def test_deactivated_deleted_converted_and_signed_out_guests_are_not_merged(identity: Identity) -> None:
    ada = await identity.sign_up()
    for change in (
        "UPDATE users SET deactivated_at = now() WHERE user_id = %s",
        "UPDATE users SET deleted_at = now() WHERE user_id = %s",
        "UPDATE users SET guest = false WHERE user_id = %s",
        "UPDATE sign_ins SET revoked_at = now() WHERE user_id = %s",
        "UPDATE sign_ins SET expires_at = now() WHERE user_id = %s",
    ):
        mo = await guest(identity)
        identity.execute_sql(change, mo.user_id)
        assert (await expect_error(merge(identity, mo, ada))).reason == "REFRESH_TOKEN_INVALID", change


def claims(person: Person) -> dict[str, Any]:
    """Returns the claims of the access token."""
    body = person.tokens.access_token.split(".")[1]
    read: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return read


def award(identity: Identity, person: Person, *amounts: int) -> None:
    """Adds experience points to the ledger and to the total."""
    for amount in amounts:
        identity.execute_sql(
            "INSERT INTO xp_entries (user_id, award_id, amount, reason) "
            "VALUES (%s, uuidv7(), %s, 'QUIZ_GRADED')",
            *(person.user_id, amount),
        )
    identity.execute_sql("UPDATE users SET xp = xp + %s WHERE user_id = %s", sum(amounts), person.user_id)


def study(identity: Identity, person: Person, streaks: dict[int, int]) -> None:
    """Adds activity days: the streak by number of days ago."""
    for ago, streak in streaks.items():
        day = TODAY - timedelta(days=ago)
        noon = datetime.combine(day, time(12), UTC)
        identity.execute_sql(
            "INSERT INTO activity_days (user_id, day, time_zone, streak, first_active_at, last_active_at) "
            "VALUES (%s, %s, 'UTC', %s, %s, %s)",
            *(person.user_id, day, streak, noon, noon),
        )
