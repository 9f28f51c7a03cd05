"""Ends the answers whose writers have died."""

import asyncio

import structlog

from chassis.bell import Bell
from chassis.database import Database
from chat_service.answers import steps, store
from chat_service.errors import AnswerInterrupted

log = structlog.get_logger()


async def sweep(database: Database, bell: Bell, every_seconds: float) -> None:
    """Looks for such answers at once and then now and again, for ever; every replica does."""
    while True:
        try:
            await sweep_once(database, bell)
        except Exception as error:
            log.warning("answers_not_swept", error=repr(error))
        await asyncio.sleep(every_seconds)


async def sweep_once(database: Database, bell: Bell) -> None:
    """Ends every answer that is STREAMING and has lost its writer as FAILED; its text is kept."""
    error = AnswerInterrupted().status().SerializeToString()
    for key in await store.orphaned(database):
        async with database.transaction() as transaction:
            if not await store.lock_orphaned(transaction, key):
                continue
            await store.end(transaction, key, "FAILED", error)
        log.warning("answer_swept", message_id=key.message_id)
        bell.ring(steps.ring(key))
