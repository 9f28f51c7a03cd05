"""The job that processes a material.

Classes take turns: one class has at most one running job, and its next job has a lower priority than the first job
of another class. A class with many or slow files therefore delays other classes by at most one file. Users take
turns in the same way, because one user can upload to many classes.
"""

import asyncio
from typing import Any, TypeAlias

from procrastinate import App, BaseRetryStrategy, RetryDecision
from procrastinate.jobs import Job
from procrastinate.tasks import Task

from chassis import jobs
from chassis.database import Transaction
from content_service.materials.ingestion.pipeline import Pipeline

ProcessTask: TypeAlias = Task[Any, Any, Any]
"""The task `process_material` with the arguments `scope_id` and `material_id`."""

RETRY_DELAY_SECONDS = 15


class RetryPolicy(BaseRetryStrategy):
    """Retries every failed job. The pipeline limits the number of attempts.

    The delay is constant, because an attempt with progress is not a failure. A job that was cancelled
    because its worker stops is retried at once.
    """

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision:
        """Returns when to retry a job."""
        is_cancelled = isinstance(exception, asyncio.CancelledError)
        return RetryDecision(retry_in={"seconds": 0 if is_cancelled else RETRY_DELAY_SECONDS})


async def defer_processing(
    transaction: Transaction, task: ProcessTask, scope_id: str, material_id: str, *, ahead: int
) -> None:
    """Adds the job of a material to a transaction. The job exists if the transaction commits.

    `ahead` is the number of materials of the class, or of the user in all classes, that have not been processed yet.
    It is the turn of the job.
    """
    await jobs.defer(
        transaction,
        task,
        lock=scope_id.lower(),
        priority=-ahead,
        scope_id=scope_id,
        material_id=material_id,
    )


def register_process_task(queue: App, pipeline: Pipeline) -> ProcessTask:
    """Registers the task that processes materials at the workers of a queue; returns the task."""

    @queue.task(name="process_material", retry=RetryPolicy())
    async def process_material(*, scope_id: str, material_id: str) -> None:
        await pipeline.process(scope_id, material_id)

    return process_material
