"""Jobs of dead workers are retried, each by one other worker."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest_asyncio
from procrastinate import App, PsycopgConnector

from chassis import jobs

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
        app = App(connector=PsycopgConnector(conninfo=schema, min_size=1, max_size=4))

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
