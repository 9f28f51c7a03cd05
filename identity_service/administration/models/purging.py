"""The background job that purges deleted models and model backends."""

from datetime import timedelta
from functools import partial

from chassis.background import run_forever
from chassis.database import Database
from identity_service.administration.config.reader import ConfigReader
from identity_service.administration.models import commands
from identity_service.administration.models.backends import commands as backends
from identity_service.administration.models.backends import rules

INTERVAL = timedelta(minutes=10)


async def run(database: Database, config: ConfigReader) -> None:
    """Purges deleted models and backends every ten minutes. Never returns."""
    work = partial(purge_deleted, database, config)
    await run_forever(work, "models_not_purged", interval=INTERVAL.total_seconds())


async def purge_deleted(database: Database, config: ConfigReader) -> None:
    """Purges every model and backend that was deleted more than `model_purge_days` ago."""
    async with database.transaction() as transaction:
        retention = timedelta(days=await config.value(transaction, rules.PURGE_DAYS))
        # First the models, because a backend is purged only after all of its models.
        await commands.purge_models(transaction, retention)
        await backends.purge_backends(transaction, retention)
