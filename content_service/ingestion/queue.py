"""The job of processing a material."""

from typing import Any, TypeAlias

from procrastinate import App, RetryStrategy
from procrastinate.tasks import Task

from content_service.ingestion.pipeline import Pipeline

Process: TypeAlias = Task[Any, Any, Any]
"""Takes `scope_id` and `material_id`."""

# The pipeline itself gives up after some attempts; what it raises is worth another.
_RETRY = RetryStrategy(exponential_wait=5)


def process_task(queue: App, pipeline: Pipeline) -> Process:
    """Lets the workers of a queue process materials."""

    @queue.task(name="process_material", retry=_RETRY)
    async def process_material(*, scope_id: str, material_id: str) -> None:
        await pipeline.process(scope_id, material_id)

    return process_material
