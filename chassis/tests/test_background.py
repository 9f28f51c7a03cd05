"""Background loops: they survive failures, and wait longer after each failure in a row."""

import asyncio
from contextlib import suppress
from types import SimpleNamespace

import pytest

from chassis import background
from chassis.background import run_forever


class _Stop(BaseException):
    """Ends the loop of a test."""


@pytest.fixture
def delays(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Records the delays of the loop instead of waiting."""
    recorded: list[float] = []

    async def sleep(seconds: float) -> None:
        recorded.append(seconds)

    # Only for this module: other tasks of the same event loop sleep, too.
    monkeypatch.setattr(background, "asyncio", SimpleNamespace(**vars(asyncio) | {"sleep": sleep}))
    return recorded


async def _run(outcomes: str, **options: float) -> None:
    """Runs a loop whose calls succeed (`.`) or fail (`x`) in this order."""
    remaining = iter(outcomes)

    async def work() -> None:
        match next(remaining, None):
            case None:
                raise _Stop
            case "x":
                raise ConnectionError

    with pytest.raises(_Stop):
        await run_forever(work, "work_failed", **options)


async def test_calls_are_repeated_at_the_interval(delays: list[float]) -> None:
    await _run("...", interval=7)
    assert delays == [7, 7, 7]


async def test_a_failure_is_retried_after_the_interval_by_default(delays: list[float]) -> None:
    await _run(".xx.", interval=7)
    assert delays == [7, 7, 7, 7]


async def test_a_loop_without_an_interval_pauses_after_a_failure(delays: list[float]) -> None:
    await _run(".xx.")
    assert delays == [0, background.RETRY_DELAY_SECONDS, background.RETRY_DELAY_SECONDS, 0]


async def test_the_delay_doubles_with_each_failure_in_a_row_up_to_the_maximum(delays: list[float]) -> None:
    await _run("xxxxx.x", retry_delay=1, max_retry_delay=5)
    assert delays == [1, 2, 4, 5, 5, 0, 1]


async def test_a_loop_ends_although_its_work_ignores_the_cancellation() -> None:
    started = asyncio.Event()

    async def work() -> None:
        if started.is_set():
            raise _Stop
        started.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    running = asyncio.create_task(run_forever(work, "work_failed"))
    await started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_cancelled_loop_ends() -> None:
    started = asyncio.Event()

    async def work() -> None:
        started.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(run_forever(work, "work_failed"))
    await started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
