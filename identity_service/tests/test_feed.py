"""The stored account feed."""

from chassis.database import Database
from identity_service.account_feed import commands, store
from identity_service.tests.conftest import Identity


async def test_times_ascend_with_sequences_if_a_transaction_commits_late(
    identity: Identity, database: Database
) -> None:
    """Otherwise a replay that begins at an age would skip newer events."""
    early, late = await identity.sign_up(), await identity.sign_up()
    async with database.transaction() as waits:
        async with database.transaction() as overtakes:
            await commands.revoke_tokens(overtakes, late.user_id)
        await commands.revoke_tokens(waits, early.user_id)
    events = await store.list_after(database, 0)
    assert [event.body["user_id"] for event in events] == [late.user_id, early.user_id]
    assert events[0].created_at < events[1].created_at
