"""Deletion of expired sign-ins and account events."""

from datetime import timedelta

from chassis.database import Database
from identity_service.account_feed import commands as account_feed
from identity_service.account_feed import store as events
from identity_service.sign_in import purging
from identity_service.sign_in.tokens import store
from identity_service.tests.conftest import Identity
from meno.identity.v1.auth_service_pb2 import SignOutRequest

NOW = timedelta()
ONE_HOUR = timedelta(hours=1)


async def test_sign_ins_are_deleted_after_they_have_ended(identity: Identity, database: Database) -> None:
    active, ended = await identity.sign_up(), await identity.sign_up()
    await identity.auth.SignOut(SignOutRequest(user_id="me"), **ended.auth)
    await purge_sign_ins(database, ONE_HOUR)
    assert users_with_sign_ins(identity) == {active.user_id, ended.user_id}
    await purge_sign_ins(database, NOW)
    assert users_with_sign_ins(identity) == {active.user_id}


async def test_events_are_deleted_when_they_are_too_old_to_be_replayed(
    identity: Identity, database: Database
) -> None:
    await revoke_tokens(identity, database, times=3)
    age_events(identity, "sequence = 1")
    await purging.purge_once(database)
    assert await sequences(database) == [2, 3]


async def test_event_sequences_continue_after_all_events_were_deleted(
    identity: Identity, database: Database
) -> None:
    await revoke_tokens(identity, database, times=3)
    age_events(identity, "true")
    await purging.purge_once(database)
    await revoke_tokens(identity, database, times=1)
    assert await sequences(database) == [3, 4]


async def purge_sign_ins(database: Database, retention: timedelta) -> None:
    async with database.transaction() as transaction:
        await store.purge_sign_ins(transaction, retention)


async def revoke_tokens(identity: Identity, database: Database, times: int) -> None:
    person = await identity.sign_up()
    for _ in range(times):
        async with database.transaction() as transaction:
            await account_feed.revoke_tokens(transaction, person.user_id)


def age_events(identity: Identity, which: str) -> None:
    """Makes events older than their retention."""
    statement = f"UPDATE account_events SET created_at = created_at - %s WHERE {which}"
    identity.execute_sql(statement, purging.EVENT_RETENTION)


async def sequences(database: Database) -> list[int]:
    """Returns the sequences of the stored events."""
    return [event.sequence for event in await events.list_after(database, 0)]


def users_with_sign_ins(identity: Identity) -> set[str]:
    """Returns the users with stored sign-ins."""
    return {*identity.read_column("SELECT user_id FROM sign_ins")}
