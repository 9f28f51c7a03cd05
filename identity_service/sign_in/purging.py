"""Deletes expired sign-ins, sign-up requests, failed attempts, one-time codes and account events."""

from datetime import timedelta
from functools import partial

from chassis import idempotency
from chassis.background import run_forever
from chassis.database import Database
from chassis.revocation import REPLAY_WINDOW
from identity_service.account_feed import store as account_feed
from identity_service.sign_in.codes import store as codes
from identity_service.sign_in.throttle import rules as throttle_rules
from identity_service.sign_in.throttle import store as throttle
from identity_service.sign_in.tokens import store as tokens

INTERVAL = timedelta(minutes=10)
SIGN_IN_RETENTION = timedelta(days=30)
CODE_RETENTION = timedelta(hours=1)
EVENT_RETENTION = 2 * REPLAY_WINDOW


async def run(database: Database) -> None:
    """Deletes expired rows every ten minutes. Never returns."""
    work = partial(purge_once, database)
    await run_forever(work, "sign_ins_not_purged", interval=INTERVAL.total_seconds())


async def purge_once(database: Database) -> None:
    """Deletes the rows that are expired now."""
    async with database.transaction() as transaction:
        await tokens.purge_sign_ins(transaction, SIGN_IN_RETENTION)
        await tokens.purge_sign_up_requests(transaction, idempotency.RETENTION)
        await throttle.purge(transaction, throttle_rules.FAILURE_WINDOW)
        await codes.purge(transaction, CODE_RETENTION)
        await account_feed.delete_expired(transaction, EVENT_RETENTION)
