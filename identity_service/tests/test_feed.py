"""The account feed as it is stored."""

from chassis.database import Database
from identity_service.account_feed import store
from identity_service.tests.conftest import Identity


async def test_times_ascend_with_sequences_however_long_a_transaction_waits(
    identity: Identity, database: Database
) -> None:
    """A replay that begins at an age would skip what is younger, else."""
    early, late = await identity.sign_up(), await identity.sign_up()
    async with database.transaction() as waits:
        async with database.transaction() as overtakes:
            await store.lose_rights(overtakes, late.user_id)
        await store.lose_rights(waits, early.user_id)
    events = await store.after(database, 0)
    assert [event.body["user_id"] for event in events] == [late.user_id, early.user_id]
    assert events[0].created_at < events[1].created_at
