"""The background job that erases users: deleted users, idle guests and merged guests."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

from chassis.background import run_forever
from chassis.database import Database, Transaction
from chassis.telemetry import get_logger
from identity_service.account_feed import commands as account_feed
from identity_service.administration.config.reader import ConfigReader
from identity_service.lifecycle.erasures import commands as erasures
from identity_service.lifecycle.purging import store

INTERVAL = timedelta(minutes=10)
MERGED_GUEST_RETENTION = timedelta(days=1)
"""A merge of a guest can be repeated for this time, so the row of the guest is kept."""

NextUser = Callable[[Transaction], Awaitable[str | None]]
"""Locks and returns the next user to erase, or returns None."""

log = get_logger()


async def run(database: Database, config: ConfigReader) -> None:
    """Purges users, and repeats the events of erasures and merges, every ten minutes. Never returns."""
    work = partial(_purge_once, database, config)
    await run_forever(work, "users_not_purged", interval=INTERVAL.total_seconds())


async def _purge_once(database: Database, config: ConfigReader) -> None:
    await purge_users(database, config)
    async with database.transaction() as transaction:
        await account_feed.repeat_due(transaction)


async def purge_users(database: Database, config: ConfigReader) -> None:
    """Erases every user who is due now, one transaction each."""
    deleted_retention = timedelta(days=await config.value(database, "user_purge_days"))
    guest_idle_time = timedelta(days=await config.value(database, "guest_purge_days"))
    for next_user in (
        partial(store.next_deleted_user, retention=deleted_retention),
        partial(store.next_merged_guest, retention=MERGED_GUEST_RETENTION),
        partial(store.next_idle_guest, idle_time=guest_idle_time),
    ):
        while await _erase_next(database, next_user):
            pass


async def _erase_next(database: Database, next_user: NextUser) -> bool:
    """Returns False if no user is due."""
    async with database.transaction() as transaction:
        await store.lock(transaction)
        user_id = await next_user(transaction)
        if user_id is None:
            return False
        await erasures.erase(transaction, user_id)
    log.info("user_purged", user_id=user_id)
    return True
