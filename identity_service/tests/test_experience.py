"""The ledger of experience, over gRPC."""

import asyncio
import random
import uuid
from collections.abc import Iterable

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.testing import refused
from identity_service.people.experience import rules
from identity_service.tests.conftest import Identity, Person
from meno.identity.v1.user_service_pb2 import (
    AwardXpRequest,
    DeleteUserRequest,
    GetUserRequest,
    ListXpEntriesRequest,
    XpEntry,
    XpReason,
)
from meno.identity.v1.user_service_pb2_grpc import UserServiceStub

QUIZ, PRACTICE = XpReason.XP_REASON_QUIZ_GRADED, XpReason.XP_REASON_PRACTICE_SCORED
CORRECTION = XpReason.XP_REASON_CORRECTION


def award(person: Person, amount: int, **fields: object) -> AwardXpRequest:
    request = AwardXpRequest(
        request_id=str(uuid.uuid4()),
        user_id=person.user_id,
        amount=amount,
        reason=QUIZ if amount > 0 else CORRECTION,
    )
    for name, value in fields.items():
        setattr(request, name, value)
    return request


async def give(town: Identity, request: AwardXpRequest) -> XpEntry:
    return await UserServiceStub(town.served.channel("session_service")).AwardXp(request)


async def test_an_award_is_entered_and_counted(town: Identity) -> None:
    person, quiz_id = await town.sign_up(), str(uuid.uuid4())
    entry = await give(town, award(person, 1999, reference_id=quiz_id))
    assert (entry.amount, entry.reason, entry.reference_id) == (1999, QUIZ, quiz_id)
    user = await town.users.GetUser(GetUserRequest(user_id="me"), **person.auth)
    assert (user.xp, user.level) == (1999, 1)
    # What is earned is no change of the profile.
    assert user.etag == person.tokens.user.etag


async def test_an_award_is_given_once_whatever_comes_under_its_id(town: Identity) -> None:
    person = await town.sign_up()
    first = award(person, 100)
    entry = await give(town, first)
    with psycopg.connect(town.database_url) as connection:
        connection.execute("DELETE FROM request_memory")
    again = award(person, 7000, request_id=first.request_id.upper(), reason=PRACTICE)
    assert [await give(town, first), await give(town, again)] == [entry, entry]
    assert await experience(town, person) == (100, [100])


async def test_an_id_names_an_award_of_one_person(town: Identity) -> None:
    people, request_id = [await town.sign_up(), await town.sign_up()], str(uuid.uuid4())
    for person in people:
        await give(town, award(person, 10, request_id=request_id))
    assert [await experience(town, person) for person in people] == [(10, [10])] * 2


async def test_a_correction_takes_what_is_there(town: Identity) -> None:
    person = await town.sign_up()
    amounts = [(await give(town, award(person, amount))).amount for amount in (-5, 30, -10, -50, 8)]
    assert amounts == [0, 30, -10, -20, 8]
    assert (await experience(town, person))[0] == 8


async def test_fifty_awards_and_corrections_at_once_add_up(town: Identity) -> None:
    person, chance = await town.sign_up(), random.Random(7)
    requests = [award(person, chance.choice([-90, -30, 20, 50, 70])) for _ in range(50)]
    # Each comes twice, as it does from an outbox whose answer was lost.
    entries = await asyncio.gather(*(give(town, request) for request in requests * 2))
    assert entries[:50] == entries[50:]
    xp, amounts = await experience(town, person)
    assert len(amounts) == 50
    assert xp == sum(amounts) == sum(entry.amount for entry in entries[:50])


async def test_of_somebody_who_is_no_more_an_award_is_ignored(town: Identity) -> None:
    gone = await town.sign_up()
    await town.users.DeleteUser(DeleteUserRequest(user_id="me"), **gone.auth)
    for user_id in (gone.user_id, str(uuid.uuid4())):
        assert await give(town, award(gone, 10, user_id=user_id)) == XpEntry()
    assert await experience(town, gone) == (0, [])


async def test_pages_hold_every_entry_once_newest_first(town: Identity) -> None:
    person, other = await town.sign_up(), await town.sign_up()
    await give(town, award(other, 1000))
    for amount in range(1, 6):
        await give(town, award(person, amount))
    request = ListXpEntriesRequest(user_id="me", page_size=2)
    amounts: list[int] = []
    while True:
        page = await town.users.ListXpEntries(request, **person.auth)
        amounts += [entry.amount for entry in page.xp_entries]
        request.page_token = page.next_page_token
        if not request.page_token:
            break
    assert amounts == [5, 4, 3, 2, 1]
    theirs = ListXpEntriesRequest(user_id=person.user_id)
    assert (await refused(town.users.ListXpEntries(theirs, **other.auth))).reason == "ACCESS_DENIED"


@pytest.mark.parametrize("peer", ["gateway", "chat_service", "content_service"])
async def test_only_what_keeps_sessions_awards_experience(town: Identity, peer: str) -> None:
    request = AwardXpRequest(request_id=str(uuid.uuid4()), user_id=str(uuid.uuid4()), amount=9, reason=QUIZ)
    denied = await refused(UserServiceStub(town.served.channel(peer)).AwardXp(request))
    assert (denied.code, denied.reason) == ("PERMISSION_DENIED", "ACCESS_DENIED")


@settings(deadline=None)
@given(st.lists(st.integers(-10_000, 10_000)))
def test_experience_is_the_sum_of_what_was_applied_and_never_below_nothing(amounts: Iterable[int]) -> None:
    xp, entries = 0, []
    for amount in amounts:
        entries.append(rules.applied(xp, amount))
        xp += entries[-1]
        assert xp >= 0
        assert entries[-1] == amount or (amount < entries[-1] <= 0 and xp == 0)
    assert xp == sum(entries)


async def experience(town: Identity, person: Person) -> tuple[int, list[int]]:
    """What a person has, and the entries that it comes from."""
    with psycopg.connect(town.database_url) as connection:
        [[xp]] = connection.execute("SELECT xp FROM users WHERE user_id = %s", [person.user_id])
        entries = connection.execute("SELECT amount FROM xp_entries WHERE user_id = %s", [person.user_id])
        return xp, [amount for [amount] in entries]
