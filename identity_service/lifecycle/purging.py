"""Erases whom nobody will restore: deleted people, idle guests, and what is left of merged ones."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

import structlog

from chassis.database import Database, Transaction
from identity_service.administration.config.config import Config
from identity_service.lifecycle.erasures import erasing, store

EVERY = timedelta(minutes=10)
MERGED_KEPT_FOR = timedelta(days=1)
"""So long the merge of a guest may be repeated."""

Due = Callable[[Transaction], Awaitable[str | None]]

log = structlog.get_logger()


async def purge(database: Database, config: Config) -> None:
    """Purges every ten minutes, for ever."""
    while True:
        try:
            await purge_once(database, config)
        except Exception as error:
            log.warning("people_not_purged", error=repr(error))
        await asyncio.sleep(EVERY.total_seconds())


async def purge_once(database: Database, config: Config) -> None:
    """Erases everybody who is due now, each in a transaction of their own."""
    deleted = timedelta(days=await config.value(database, "user_purge_days"))
    idle = timedelta(days=await config.value(database, "guest_purge_days"))
    for due in (
        partial(store.due_deleted, kept_for=deleted),
        partial(store.due_merged, kept_for=MERGED_KEPT_FOR),
        partial(store.due_guest, idle_for=idle),
    ):
        while await _erase_next(database, due):
            pass


async def _erase_next(database: Database, due: Due) -> bool:
    """Erases one who is due; False where there is nobody."""
    async with database.transaction() as transaction:
        await store.take_turn(transaction)
        user_id = await due(transaction)
        if user_id is None:
            return False
        await erasing.erase(transaction, user_id)
    log.info("person_purged", user_id=user_id)
    return True
