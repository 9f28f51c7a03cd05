"""Jobs of dead workers are retried, each by one other worker. A failed worker starts again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import psycopg
import pytest
import pytest_asyncio
from procrastinate import App
from procrastinate.jobs import Job, Status

from chassis import jobs
from chassis.testing import execute_sql
from chassis.testing.expectations import EVENTUALLY_SECONDS

DEAD = """
WITH dead AS (
    INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 hour') RETURNING id
)
UPDATE procrastinate_jobs SET status = 'doing', worker_id = dead.id FROM dead
"""
JOBS = 6
REPLICAS = 4


@pytest_asyncio.fixture
async def schema(database_url: str) -> AsyncIterator[str]:
    """Creates the tables of the job queue."""
    async with jobs.queue(database_url).open_async() as app:
        await app.schema_manager.apply_schema_async()
    yield database_url


async def test_concurrent_replicas_retry_each_stalled_job_once(schema: str) -> None:
    done: list[int] = []
    finished = asyncio.Event()

    def replica() -> App:
        app = jobs.queue(schema)

        @app.task(name="count")
        async def count(*, number: int) -> None:
            done.append(number)
            if len(done) >= JOBS:
                finished.set()

        return app

    async with replica().open_async() as app:
        for number in range(JOBS):
            await app.configure_task("count").defer_async(number=number)
    with psycopg.connect(schema) as connection:
        connection.execute(DEAD)
    async with asyncio.TaskGroup() as tasks:
        working = [tasks.create_task(jobs.work(replica(), stalled_after=1)) for _ in range(REPLICAS)]
        await finished.wait()
        for task in working:
            task.cancel()
    assert sorted(done) == [*range(JOBS)]


async def test_only_the_current_attempt_ends_its_job(schema: str) -> None:
    """A worker with a late heartbeat is considered dead and still ends its attempt."""
    app = jobs.queue(schema)

    @app.task(name="count")
    async def count() -> None: ...

    async def state() -> tuple[str, int]:
        [[status, attempts]] = execute_sql(schema, "SELECT status, attempts FROM procrastinate_jobs")
        return status, attempts

    async with app.open_async():
        manager = app.job_manager
        await count.defer_async()
        worker_id = await manager.register_worker()

        async def fetch() -> Job:
            job = await manager.fetch_job(queues=None, worker_id=worker_id)
            assert job is not None
            return job

        first = await fetch()
        await manager.retry_job(first)
        second = await fetch()
        await manager.finish_job(first, Status.SUCCEEDED, delete_job=True)
        await manager.finish_job(first, Status.FAILED, delete_job=False)
        await manager.retry_job(first)
        assert await state() == ("doing", 1)
        await manager.finish_job(second, Status.SUCCEEDED, delete_job=True)
    assert execute_sql(schema, "SELECT FROM procrastinate_jobs") == []


async def test_the_next_job_with_the_same_lock_starts_without_polling(
    schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_POLL_INTERVAL_SECONDS", 2 * EVENTUALLY_SECONDS)
    app, running, finished = jobs.queue(schema), asyncio.Lock(), asyncio.Event()
    done: list[int] = []

    @app.task(name="count", lock="class")
    async def count(*, number: int) -> None:
        assert not running.locked()
        async with running:
            await asyncio.sleep(0)
        done.append(number)
        if len(done) == JOBS:
            finished.set()

    async with jobs.queue(schema).open_async() as other:
        for number in range(JOBS):
            await other.configure_task("count", lock="class").defer_async(number=number)
    async with _working(app, concurrency=2):
        await finished.wait()
    assert done == [*range(JOBS)]


async def test_a_worker_starts_again_after_stalled_jobs_could_not_be_retried(
    schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: list[object] = []
    is_replaced = asyncio.Event()
    retry_stalled = jobs._retry_stalled
    queue = jobs.queue(schema)

    async def fail_once(app: App, stalled_after: float) -> None:
        # Another service may run its own jobs in this process.
        if app is not queue:
            await retry_stalled(app, stalled_after)
            return
        workers = execute_sql(schema, "SELECT id FROM procrastinate_workers")
        if workers and not failed:
            failed.extend(workers)
            raise psycopg.OperationalError
        if workers and workers != failed:
            is_replaced.set()
        await retry_stalled(app, stalled_after)

    monkeypatch.setattr(jobs, "_retry_stalled", fail_once)
    async with _working(queue):
        await is_replaced.wait()


async def test_a_worker_ends_although_a_retry_ignores_the_cancellation(
    schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = asyncio.Event()
    queue = jobs.queue(schema)
    retry_stalled = jobs._retry_stalled

    async def ignore_cancellation(app: App, stalled_after: float) -> None:
        if app is not queue:
            await retry_stalled(app, stalled_after)
            return
        started.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    monkeypatch.setattr(jobs, "_retry_stalled", ignore_cancellation)
    async with _working(queue):
        await started.wait()


async def test_a_worker_that_ends_without_an_error_starts_again(
    schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[App] = []
    is_restarted = asyncio.Event()
    queue = jobs.queue(schema)
    run_worker = jobs._run_worker

    async def end(app: App, stalled_after: float) -> None:
        if app is not queue:
            await run_worker(app, stalled_after)
            return
        starts.append(app)
        if len(starts) > 1:
            is_restarted.set()

    monkeypatch.setattr(jobs, "_run_worker", end)
    async with _working(queue):
        await is_restarted.wait()


@asynccontextmanager
async def _working(app: App, concurrency: int = 1) -> AsyncIterator[None]:
    task = asyncio.create_task(jobs.work(app, concurrency=concurrency, stalled_after=1))
    try:
        async with asyncio.timeout(EVENTUALLY_SECONDS):
            yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
