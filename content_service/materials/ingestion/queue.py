"""The job of processing a material."""

import asyncio
from typing import Any, TypeAlias

from procrastinate import App, BaseRetryStrategy, RetryDecision
from procrastinate.jobs import Job
from procrastinate.tasks import Task

from content_service.materials.ingestion.pipeline import Pipeline

Process: TypeAlias = Task[Any, Any, Any]
"""Takes `scope_id` and `material_id`."""

PAUSE = 15
"""Seconds between two attempts."""


class Again(BaseRetryStrategy):
    """Always: the pipeline itself gives up after some attempts, so what it raises is worth another.

    The pause does not grow, for attempts that bring a long file further are no failures, and
    there is none where a worker was only told to stop.
    """

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision:
        stopped = isinstance(exception, asyncio.CancelledError)
        return RetryDecision(retry_in={"seconds": 0 if stopped else PAUSE})


def process_task(queue: App, pipeline: Pipeline) -> Process:
    """Lets the workers of a queue process materials."""

    @queue.task(name="process_material", retry=Again())
    async def process_material(*, scope_id: str, material_id: str) -> None:
        await pipeline.process(scope_id, material_id)

    return process_material
