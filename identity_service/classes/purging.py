"""The background job that purges deleted classes."""

from datetime import timedelta
from functools import partial

from chassis.background import run_forever
from chassis.database import Database
from identity_service.administration.config.reader import ConfigReader
from identity_service.classes import commands

INTERVAL = timedelta(minutes=10)


async def run(database: Database, config: ConfigReader) -> None:
    """Purges deleted classes every ten minutes. Never returns."""
    work = partial(commands.purge_deleted_classes, database, config)
    await run_forever(work, "classes_not_purged", interval=INTERVAL.total_seconds())
