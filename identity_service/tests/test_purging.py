"""What has ended is forgotten after a while, and nothing else."""

from datetime import timedelta

import psycopg

from chassis.database import Database
from identity_service.account_feed import store as events
from identity_service.sign_in.tokens import purging, store
from identity_service.tests.conftest import Identity
from meno.identity.v1.auth_service_pb2 import SignOutRequest

AT_ONCE = timedelta()
LATER = timedelta(hours=1)


async def test_sign_ins_are_forgotten_once_they_have_ended(identity: Identity, database: Database) -> None:
    stays, leaves = await identity.sign_up(), await identity.sign_up()
    await identity.auth.SignOut(SignOutRequest(user_id="me"), **leaves.auth)
    await purge_sign_ins(database, LATER)
    assert signed_in(identity) == {stays.user_id, leaves.user_id}
    await purge_sign_ins(database, AT_ONCE)
    assert signed_in(identity) == {stays.user_id}


async def test_events_are_forgotten_once_they_are_too_old_to_be_replayed(
    identity: Identity, database: Database
) -> None:
    await lose_rights(identity, database, times=3)
    grow_old(identity, "sequence = 1")
    await purging.purge_once(database)
    assert await sequences(database) == [2, 3]


async def test_the_sequences_of_events_go_on_after_all_were_too_old(
    identity: Identity, database: Database
) -> None:
    await lose_rights(identity, database, times=3)
    grow_old(identity, "true")
    await purging.purge_once(database)
    await lose_rights(identity, database, times=1)
    assert await sequences(database) == [3, 4]


async def purge_sign_ins(database: Database, kept_for: timedelta) -> None:
    async with database.transaction() as transaction:
        await store.purge(transaction, sign_ins=kept_for, requests=LATER, failed=LATER)


async def lose_rights(identity: Identity, database: Database, times: int) -> None:
    person = await identity.sign_up()
    for _ in range(times):
        async with database.transaction() as transaction:
            await events.lose_rights(transaction, person.user_id)


def grow_old(identity: Identity, which: str) -> None:
    """Makes events older than they are kept."""
    with psycopg.connect(identity.database_url) as connection:
        connection.execute(
            f"UPDATE account_events SET created_at = created_at - %s WHERE {which}".encode(),
            [purging.EVENTS_KEPT_FOR],
        )


async def sequences(database: Database) -> list[int]:
    """The events that are kept."""
    return [event.sequence for event in await events.after(database, 0)]


def signed_in(identity: Identity) -> set[str]:
    """Whose sign-ins are stored."""
    with psycopg.connect(identity.database_url) as connection:
        return {user_id for [user_id] in connection.execute("SELECT user_id FROM sign_ins")}
