"""Forgets sign-ins, requests, codes and failed attempts that have ended, and events that everybody followed."""

import asyncio
from datetime import timedelta

import structlog

from chassis import idempotency
from chassis.database import Database
from chassis.rights import REPLAY
from identity_service.account_feed import store as events
from identity_service.sign_in.codes import store as codes
from identity_service.sign_in.tokens import rules, store

EVERY = timedelta(minutes=10)
SIGN_INS_KEPT_FOR = timedelta(days=30)
CODES_KEPT_FOR = timedelta(hours=1)
EVENTS_KEPT_FOR = 2 * REPLAY

log = structlog.get_logger()


async def purge(database: Database) -> None:
    """Purges every ten minutes, for ever."""
    while True:
        try:
            await purge_once(database)
        except Exception as error:
            log.warning("sign_ins_not_purged", error=repr(error))
        await asyncio.sleep(EVERY.total_seconds())


async def purge_once(database: Database) -> None:
    """Forgets what is old enough now."""
    async with database.transaction() as transaction:
        await store.purge(
            transaction,
            sign_ins=SIGN_INS_KEPT_FOR,
            requests=idempotency.KEPT_FOR,
            failed=rules.FAILURES_FORGOTTEN_AFTER,
        )
        await codes.purge(transaction, CODES_KEPT_FOR)
        await events.purge(transaction, EVENTS_KEPT_FOR)
