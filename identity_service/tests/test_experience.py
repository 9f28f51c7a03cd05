"""The XP ledger, over gRPC."""

import asyncio
import random
import uuid
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.testing import expect_error, read_pages
from identity_service.people.experience import rules
from identity_service.tests.conftest import Identity, Person
from meno.identity.v1.resources_pb2 import XpEntry, XpReason
from meno.identity.v1.user_service_pb2 import (
    AwardXpRequest,
    DeleteUserRequest,
    GetUserRequest,
    ListXpEntriesRequest,
)
from meno.identity.v1.user_service_pb2_grpc import UserServiceStub

QUIZ, PRACTICE = XpReason.XP_REASON_QUIZ_GRADED, XpReason.XP_REASON_PRACTICE_SCORED
CORRECTION = XpReason.XP_REASON_CORRECTION


def new_award(person: Person, amount: int, **fields: object) -> AwardXpRequest:
    request = AwardXpRequest(
        request_id=str(uuid.uuid4()),
        user_id=person.user_id,
        amount=amount,
        reason=QUIZ if amount > 0 else CORRECTION,
    )
    for name, value in fields.items():
        setattr(request, name, value)
    return request


async def award_xp(shared: Identity, request: AwardXpRequest) -> XpEntry:
    return await UserServiceStub(shared.service.channel("session_service")).AwardXp(request)


async def test_an_award_is_added_to_the_ledger_and_to_the_total(shared: Identity) -> None:
    person, quiz_id = await shared.sign_up(), str(uuid.uuid4())
    entry = await award_xp(shared, new_award(person, 1999, reference_id=quiz_id))
    assert (entry.amount, entry.reason, entry.reference_id) == (1999, QUIZ, quiz_id)
    user = await shared.users.GetUser(GetUserRequest(user_id="me"), **person.auth)
    assert (user.xp, user.level) == (1999, 1)
    # XP does not change the version of the profile.
    assert user.etag == person.tokens.user.etag


async def test_a_repeated_award_id_returns_the_first_entry(shared: Identity) -> None:
    person = await shared.sign_up()
    first = new_award(person, 100)
    entry = await award_xp(shared, first)
    shared.execute_sql("DELETE FROM idempotency_keys")
    again = new_award(person, 7000, request_id=first.request_id.upper(), reason=PRACTICE)
    assert [await award_xp(shared, first), await award_xp(shared, again)] == [entry, entry]
    assert await stored_xp(shared, person) == (100, [100])


async def test_award_ids_are_unique_per_user(shared: Identity) -> None:
    people, request_id = [await shared.sign_up(), await shared.sign_up()], str(uuid.uuid4())
    for person in people:
        await award_xp(shared, new_award(person, 10, request_id=request_id))
    assert [await stored_xp(shared, person) for person in people] == [(10, [10])] * 2


async def test_a_correction_deducts_at_most_the_available_xp(shared: Identity) -> None:
    person = await shared.sign_up()
    amounts = [(await award_xp(shared, new_award(person, amount))).amount for amount in (-5, 30, -10, -50, 8)]
    assert amounts == [0, 30, -10, -20, 8]
    assert (await stored_xp(shared, person))[0] == 8


async def test_fifty_concurrent_awards_and_corrections_add_up(shared: Identity) -> None:
    person, generator = await shared.sign_up(), random.Random(7)
    requests = [new_award(person, generator.choice([-90, -30, 20, 50, 70])) for _ in range(50)]
    # Each is sent twice, as by an outbox that lost the response.
    entries = await asyncio.gather(*(award_xp(shared, request) for request in requests * 2))
    assert entries[:50] == entries[50:]
    xp, amounts = await stored_xp(shared, person)
    assert len(amounts) == 50
    assert xp == sum(amounts) == sum(entry.amount for entry in entries[:50])


async def test_an_award_to_a_deleted_user_is_ignored(shared: Identity) -> None:
    gone = await shared.sign_up()
    await shared.users.DeleteUser(DeleteUserRequest(user_id="me"), **gone.auth)
    for user_id in (gone.user_id, str(uuid.uuid4())):
        assert await award_xp(shared, new_award(gone, 10, user_id=user_id)) == XpEntry()
    assert await stored_xp(shared, gone) == (0, [])


async def test_pages_contain_each_entry_once_newest_first(shared: Identity) -> None:
    person, other = await shared.sign_up(), await shared.sign_up()
    await award_xp(shared, new_award(other, 1000))
    for amount in range(1, 6):
        await award_xp(shared, new_award(person, amount))
    request = ListXpEntriesRequest(user_id="me", page_size=2)
    pages = read_pages(shared.users.ListXpEntries, request, **person.auth)
    assert [entry.amount async for page in pages for entry in page.xp_entries] == [5, 4, 3, 2, 1]
    theirs = ListXpEntriesRequest(user_id=person.user_id)
    assert (await expect_error(shared.users.ListXpEntries(theirs, **other.auth))).reason == "ACCESS_DENIED"


@pytest.mark.parametrize("peer", ["gateway", "chat_service", "content_service"])
async def test_only_session_service_can_award_xp(shared: Identity, peer: str) -> None:
    request = AwardXpRequest(request_id=str(uuid.uuid4()), user_id=str(uuid.uuid4()), amount=9, reason=QUIZ)
    denied = await expect_error(UserServiceStub(shared.service.channel(peer)).AwardXp(request))
    assert (denied.code, denied.reason) == ("PERMISSION_DENIED", "ACCESS_DENIED")


@settings(deadline=None)
@given(st.lists(st.integers(-10_000, 10_000)))
def test_xp_is_the_sum_of_the_applied_amounts_and_never_negative(amounts: Iterable[int]) -> None:
    xp, entries = 0, []
    for amount in amounts:
        entries.append(rules.apply_xp(xp, amount))
        xp += entries[-1]
        assert xp >= 0
        assert entries[-1] == amount or (amount < entries[-1] <= 0 and xp == 0)
    assert xp == sum(entries)


async def stored_xp(shared: Identity, person: Person) -> tuple[int, list[int]]:
    """Returns the total of a user and the amounts of the entries."""
    [xp] = shared.read_column("SELECT xp FROM users WHERE user_id = %s", person.user_id)
    return xp, shared.read_column("SELECT amount FROM xp_entries WHERE user_id = %s", person.user_id)
