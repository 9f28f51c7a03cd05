"""Long-running jobs as rows in PostgreSQL, run by any number of workers (procrastinate).

A job is added in the transaction that requires it. If a worker dies, its job is stalled, and another worker
retries it. The job continues from the state in its own rows. A worker that is stopped aborts its job, so that
a task needs a retry strategy that starts it again.
"""

import asyncio
from datetime import datetime
from functools import partial
from typing import Any, cast

from procrastinate import App, PsycopgConnector
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager
from procrastinate.sql import queries
from procrastinate.tasks import Task
from procrastinate.utils import utcnow

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

_IF_CURRENT = """
WITH current AS MATERIALIZED (
    SELECT FROM procrastinate_jobs
    WHERE id = %(job_id)s AND attempts = %(attempts)s AND status = 'doing' FOR UPDATE
)
{query} FROM current
"""
"""A query that runs only if the attempt is still the current one of its job."""

log = get_logger()


class _JobManager(JobManager):
    """Ends an attempt of a job only if it is the current attempt.

    A worker whose heartbeat is late is considered dead although it lives, and its job is attempted again. The end
    of the earlier attempt would otherwise delete the job, and the work would be lost if the later attempt died.
    """

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        """Sets the final state of a job, if `job` is its current attempt."""
        await self._end(job, "finish_job", status=status.value, delete_job=delete_job)

    async def retry_job(
        self,
        job: Job,
        retry_at: datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        lock: str | None = None,
    ) -> None:
        """Adds the next attempt of a job, if `job` is its current attempt."""
        changes = {"new_priority": priority, "new_queue_name": queue, "new_lock": lock}
        await self._end(job, "retry_job", retry_at=retry_at or utcnow(), **changes)

    async def _end(self, job: Job, query: str, **arguments: Any) -> None:
        current = _IF_CURRENT.format(query=queries[query].rstrip(";"))
        await self.connector.execute_query_async(current, job_id=job.id, attempts=job.attempts, **arguments)


def queue(url: str) -> App:
    """Returns the job queue of a database."""
    app = App(connector=PsycopgConnector(conninfo=url, min_size=1, max_size=4))
    app.job_manager = _JobManager(app.connector)
    return app


async def defer(
    transaction: Transaction, task: Task[Any, Any, Any], *, lock: str, priority: int, **arguments: Any
) -> None:
    """Adds a job to a transaction. The job exists if the transaction commits.

    Jobs with the same `lock` run one after the other. Of the waiting jobs, the one with the highest `priority` is next.
    """
    configured = task.configure(connection=transaction.connection, lock=lock, priority=priority)
    await configured.defer_async(**arguments)


async def work(app: App, *, concurrency: int = 1, stalled_after: float = STALLED_AFTER_SECONDS) -> None:
    """Runs up to `concurrency` jobs at once, and retries the jobs of dead workers. Never returns.

    `stalled_after` is the number of seconds without a heartbeat after which a worker is considered dead.
    """
    await run_forever(
        partial(_work_until_failure, app, concurrency, stalled_after),
        "job_worker_failed",
        interval=_RESTART_DELAY_SECONDS,
    )


async def _work_until_failure(app: App, concurrency: int, stalled_after: float) -> None:
    async with app.open_async(), asyncio.TaskGroup() as group:
        retries = group.create_task(_retry_stalled_forever(app, stalled_after))
        # A worker that ends its job fetches the next one. One worker with several jobs would find only jobs whose
        # lock is held, and then wait until it polls.
        workers = [group.create_task(_run_worker(app, stalled_after)) for _ in range(concurrency)]
        # A worker that ends without an exception is started again too.
        await asyncio.wait(workers, return_when=asyncio.FIRST_COMPLETED)
        for task in (retries, *workers):
            task.cancel()


async def _run_worker(app: App, stalled_after: float) -> None:
    await app.run_worker_async(
        concurrency=1,
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
