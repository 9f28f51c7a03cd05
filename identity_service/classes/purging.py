"""The background job that purges deleted classes."""

import asyncio
from datetime import timedelta

import structlog

from chassis.database import Database
from identity_service.administration.config.reader import ConfigReader
from identity_service.classes import commands

INTERVAL = timedelta(minutes=10)

log = structlog.get_logger()


async def run(database: Database, config: ConfigReader) -> None:
    """Purges deleted classes every ten minutes."""
    while True:
        try:
            await commands.purge_deleted_classes(database, config)
        except Exception as error:
            log.warning("classes_not_purged", error=repr(error))
        await asyncio.sleep(INTERVAL.total_seconds())
