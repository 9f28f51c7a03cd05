"""Deletes for good what belongs to classes that were deleted long enough ago."""

import asyncio
from datetime import timedelta

import structlog

from chassis import audit
from chassis.database import Database
from identity_service.account_feed import store as accounts
from identity_service.administration.config.config import Config
from identity_service.classes import rules, store
from meno.access.v1.access_pb2 import ClassState
from meno.access.v1.audit_service_pb2 import AuditAction

EVERY = timedelta(minutes=10)

log = structlog.get_logger()


async def purge(database: Database, config: Config) -> None:
    """Purges every ten minutes, for ever."""
    while True:
        try:
            while await purge_next(database, config):
                pass
        except Exception as error:
            log.warning("classes_not_purged", error=repr(error))
        await asyncio.sleep(EVERY.total_seconds())


async def purge_next(database: Database, config: Config) -> bool:
    """Purges the class that was deleted first; False where none is due, or another replica is at it."""
    async with database.transaction() as transaction:
        if not await store.leads_purge(transaction):
            return False
        days = await config.value(transaction, rules.PURGE_DAYS)
        class_id = await store.next_to_purge(transaction, timedelta(days=days))
        if class_id is None:
            return False
        await store.purge(transaction, class_id)
        await accounts.change_class(transaction, class_id, ClassState.CLASS_STATE_PURGED)
        await audit.record(transaction, AuditAction.AUDIT_ACTION_CLASS_PURGED, class_id=class_id)
        return True
