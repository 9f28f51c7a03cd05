"""Background work that runs as long as the process."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeAlias

from chassis.telemetry import get_logger

RETRY_DELAY_SECONDS = 0.5

BackgroundTask: TypeAlias = Callable[[], Awaitable[object]]
"""Work that never returns. If it raises, the process ends."""

log = get_logger()


def raise_if_cancelled() -> None:
    """Raises CancelledError if the current task was cancelled.

    `asyncio.wait_for` of Python 3.11, which connection pools use, loses a cancellation that arrives together with
    its result. A loop that does not check would then never end.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def run_forever(
    work: Callable[[], Awaitable[object]],
    failure_event: str,
    *,
    interval: float = 0.0,
    retry_delay: float | None = None,
    max_retry_delay: float | None = None,
) -> NoReturn:
    """Calls `work` again and again. A failure is logged as `failure_event` and does not end the loop.

    Args:
        interval: seconds between the end of a call and the next one.
        retry_delay: seconds after a failure; by default `interval`, or RETRY_DELAY_SECONDS if that is 0.
        max_retry_delay: if given, the delay doubles with each failure in a row up to this value.
    """
    first_delay = (interval or RETRY_DELAY_SECONDS) if retry_delay is None else retry_delay
    delay = first_delay
    while True:
        try:
            await work()
            raise_if_cancelled()
        except Exception as error:
            log.warning(failure_event, error=repr(error), retry_delay=delay)
            await asyncio.sleep(delay)
            delay = min(delay * 2, max_retry_delay or first_delay)
        else:
            delay = first_delay
            await asyncio.sleep(interval)
