"""Long work as rows in PostgreSQL, done by any number of workers: procrastinate.

A job is deferred in the transaction that makes it necessary. A worker that dies leaves its
job stalled; another takes it up again, and the job goes on where its own rows say it was. A
worker that is told to stop aborts its job: a task needs a retry strategy that begins it anew.
"""

import asyncio
from typing import Any, cast

import psycopg
import structlog
from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import ConnectorException
from procrastinate.tasks import Task

from chassis.database import Transaction

STALLED_AFTER = 15.0
"""Seconds without a heartbeat after which a worker is taken for dead."""
_HEARTBEAT = 5.0
# Nothing rings for a job that is due again, or that came before the worker could hear of it.
_LOOK_EVERY = 1.0
_PAUSE = 1.0

_TRY_ALONE = "SELECT pg_try_advisory_xact_lock(hashtext('stalled jobs'))"

log = structlog.get_logger()


def queue(url: str) -> App:
    """The job queue of one database."""
    return App(connector=PsycopgConnector(conninfo=url, min_size=1, max_size=4))


async def defer(transaction: Transaction, task: Task[Any, Any, Any], **arguments: Any) -> None:
    """Adds a job to a transaction: it exists when that commits, and never otherwise."""
    await task.configure(connection=transaction.connection).defer_async(**arguments)


async def work(app: App, *, concurrency: int = 1, stalled_after: float = STALLED_AFTER) -> None:
    """Works on jobs, and takes up those of workers that died, for ever."""
    while True:
        try:
            async with app.open_async(), asyncio.TaskGroup() as tasks:
                tasks.create_task(_run_worker(app, concurrency, stalled_after))
                tasks.create_task(_retry_stalled(app, stalled_after))
        except* (ConnectorException, psycopg.Error) as errors:
            log.warning("jobs_away", errors=[repr(error) for error in errors.exceptions])
        await asyncio.sleep(_PAUSE)


async def _run_worker(app: App, concurrency: int, stalled_after: float) -> None:
    await app.run_worker_async(
        concurrency=concurrency,
        install_signal_handlers=False,
        fetch_job_polling_interval=_LOOK_EVERY,
        update_heartbeat_interval=min(_HEARTBEAT, stalled_after / 3),
        stalled_worker_timeout=stalled_after,
        shutdown_graceful_timeout=0,
        delete_jobs="successful",
    )


async def _retry_stalled(app: App, stalled_after: float) -> None:
    connector = cast("PsycopgConnector", app.connector)
    while True:
        async with connector.pool.connection() as connection, connection.transaction():
            # One process at a time: whoever looks at the same moment would find the same jobs.
            alone = await (await connection.execute(_TRY_ALONE)).fetchone()
            if alone == (True,):
                await _retry_those(app, stalled_after)
        await asyncio.sleep(stalled_after / 3)


async def _retry_those(app: App, stalled_after: float) -> None:
    for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=stalled_after):
        log.warning("job_taken_up_again", job=job.id, task=job.task_name)
        await app.job_manager.retry_job(job)
