"""Forgets sign-ins, requests and failed attempts that have ended."""

import asyncio
from datetime import timedelta

import structlog

from chassis import idempotency
from chassis.database import Database
from identity_service.tokens import rules, store

EVERY = timedelta(minutes=10)
SIGN_INS_KEPT_FOR = timedelta(days=30)

log = structlog.get_logger()


async def purge(database: Database) -> None:
    """Purges every ten minutes, for ever."""
    while True:
        try:
            async with database.transaction() as transaction:
                await store.purge(
                    transaction,
                    sign_ins=SIGN_INS_KEPT_FOR,
                    requests=idempotency.KEPT_FOR,
                    failed=rules.FAILURES_FORGOTTEN_AFTER,
                )
        except Exception as error:
            log.warning("sign_ins_not_purged", error=repr(error))
        await asyncio.sleep(EVERY.total_seconds())
