"""What has ended is forgotten after a while, and nothing else."""

from datetime import timedelta

import psycopg

from chassis.database import Database
from identity_service.tests.conftest import Identity
from identity_service.tokens import store
from meno.identity.v1.auth_service_pb2 import SignOutRequest

AT_ONCE = timedelta()
LATER = timedelta(hours=1)


async def test_sign_ins_are_forgotten_once_they_have_ended(identity: Identity) -> None:
    stays, leaves = await identity.sign_up(), await identity.sign_up()
    await identity.auth.SignOut(SignOutRequest(user_id="me"), **leaves.auth)
    await purge(identity, LATER)
    assert signed_in(identity) == {stays.user_id, leaves.user_id}
    await purge(identity, AT_ONCE)
    assert signed_in(identity) == {stays.user_id}


async def purge(identity: Identity, kept_for: timedelta) -> None:
    database = Database(identity.database_url)
    await database.open()
    try:
        async with database.transaction() as transaction:
            await store.purge(transaction, sign_ins=kept_for, requests=LATER, failed=LATER)
    finally:
        await database.close()


def signed_in(identity: Identity) -> set[str]:
    """Whose sign-ins are stored."""
    with psycopg.connect(identity.database_url) as connection:
        return {user_id for [user_id] in connection.execute("SELECT user_id FROM sign_ins")}
