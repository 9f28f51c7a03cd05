"""Long-running jobs as rows in PostgreSQL, run by any number of workers (procrastinate).

A job is added in the transaction that requires it. If a worker dies, its job is stalled, and another worker
retries it. The job continues from the state in its own rows. A worker that is stopped aborts its job, so that
a task needs a retry strategy that starts it again.
"""

import asyncio
from functools import partial
from typing import Any, cast

from procrastinate import App, PsycopgConnector
from procrastinate.tasks import Task

from chassis.background import raise_if_cancelled, run_forever
from chassis.database import Transaction
from chassis.telemetry import get_logger

STALLED_AFTER_SECONDS = 15.0
"""A worker without a heartbeat for this long is considered dead."""
_HEARTBEAT_INTERVAL_SECONDS = 5.0
# No notification exists for a retry that becomes due, or for a job that was added before the worker listened.
_POLL_INTERVAL_SECONDS = 1.0
_RESTART_DELAY_SECONDS = 1.0

_TRY_LOCK = "SELECT pg_try_advisory_xact_lock(hashtext('stalled jobs'))"

log = get_logger()


def queue(url: str) -> App:
    """Returns the job queue of a database."""
    return App(connector=PsycopgConnector(conninfo=url, min_size=1, max_size=4))


async def defer(
    transaction: Transaction, task: Task[Any, Any, Any], *, lock: str, priority: int, **arguments: Any
) -> None:
    """Adds a job to a transaction. The job exists if the transaction commits.

    Jobs with the same `lock` run one after the other. Of the waiting jobs, the one with the highest `priority` is next.
    """
    configured = task.configure(connection=transaction.connection, lock=lock, priority=priority)
    await configured.defer_async(**arguments)


async def work(app: App, *, concurrency: int = 1, stalled_after: float = STALLED_AFTER_SECONDS) -> None:
    """Runs jobs, and retries the jobs of dead workers. Never returns.

    `stalled_after` is the number of seconds without a heartbeat after which a worker is considered dead.
    """
    await run_forever(
        partial(_work_until_failure, app, concurrency, stalled_after),
        "job_worker_failed",
        interval=_RESTART_DELAY_SECONDS,
    )


async def _work_until_failure(app: App, concurrency: int, stalled_after: float) -> None:
    async with app.open_async(), asyncio.TaskGroup() as tasks:
        retries = tasks.create_task(_retry_stalled_forever(app, stalled_after))
        # A worker that ends without an exception is started again too.
        await _run_worker(app, concurrency, stalled_after)
        retries.cancel()


async def _run_worker(app: App, concurrency: int, stalled_after: float) -> None:
    await app.run_worker_async(
        concurrency=concurrency,
        install_signal_handlers=False,
        fetch_job_polling_interval=_POLL_INTERVAL_SECONDS,
        update_heartbeat_interval=min(_HEARTBEAT_INTERVAL_SECONDS, stalled_after / 3),
        stalled_worker_timeout=stalled_after,
        shutdown_graceful_timeout=0,
        delete_jobs="successful",
    )


async def _retry_stalled_forever(app: App, stalled_after: float) -> None:
    """Retries stalled jobs until a failure.

    A failure ends the worker, which is then started again. The heartbeat of the old worker may have failed with
    the same database error, and procrastinate does not start it again.
    """
    while True:
        await _retry_stalled(app, stalled_after)
        raise_if_cancelled()
        await asyncio.sleep(stalled_after / 3)


async def _retry_stalled(app: App, stalled_after: float) -> None:
    connector = cast("PsycopgConnector", app.connector)
    async with connector.pool.connection() as connection, connection.transaction():
        # One process at a time, because two processes would find and retry the same jobs.
        if await (await connection.execute(_TRY_LOCK)).fetchone() != (True,):
            return
        for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=stalled_after):
            log.warning("stalled_job_retried", job=job.id, task=job.task_name)
            await app.job_manager.retry_job(job)
