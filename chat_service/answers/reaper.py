"""Ends STREAMING answers with an expired lease, because their writer has died."""

from chassis.database import Database
from chassis.notifications import Notifier
from chassis.telemetry import get_logger
from chat_service.answers import store
from chat_service.errors import AnswerInterrupted

log = get_logger()


async def expire_orphans(database: Database, notifier: Notifier) -> None:
    """Sets every STREAMING answer with an expired lease to FAILED and keeps its text.

    Every replica runs this: an orphan is locked with SKIP LOCKED, so only one of them ends it.
    """
    error = AnswerInterrupted().status().SerializeToString()
    for key in await store.list_orphaned(database):
        async with database.transaction() as transaction:
            if not await store.lock_orphaned(transaction, key):
                continue
            await store.end(transaction, key, "FAILED", error)
        log.warning("answer_expired", message_id=key.message_id)
        notifier.notify(key.notification_key)
