"""Background work that runs as long as the process."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import structlog

RETRY_DELAY_SECONDS = 0.5

BackgroundTask: TypeAlias = Callable[[], Awaitable[Any]]
"""Work that never returns. If it raises, the process ends."""

log = structlog.get_logger()


async def run_forever(
    work: Callable[[], Awaitable[Any]],
    failure_event: str,
    *,
    interval: float = 0.0,
    retry_delay: float | None = None,
    max_retry_delay: float | None = None,
) -> None:
    """Calls `work` again and again. A failure is logged as `failure_event` and does not end the loop.

    Args:
        interval: seconds between the end of a call and the next one.
        retry_delay: seconds after a failure; by default `interval`.
        max_retry_delay: if given, the delay doubles with each failure in a row up to this value.
    """
    first_delay = interval if retry_delay is None else retry_delay
    delay = first_delay
    while True:
        try:
            await work()
        except Exception as error:
            log.warning(failure_event, error=repr(error), retry_delay=delay)
            await asyncio.sleep(delay)
            delay = min(delay * 2, max_retry_delay or first_delay)
        else:
            delay = first_delay
            await asyncio.sleep(interval)
