"""`python -m content_service serve | migrate | settings | worker`."""

import asyncio
import contextlib
import signal

import uvloop

from chassis import telemetry
from chassis.cli import load, service_cli
from content_service.app import create_app, run_worker
from content_service.settings import Settings

cli = service_cli("content_service", Settings, create_app)


@cli.command()
def worker() -> None:
    """Process uploaded files until SIGTERM."""
    settings = load(Settings)
    telemetry.configure("content_service", settings.log_level)
    uvloop.run(_run_until_signal(settings))


async def _run_until_signal(settings: Settings) -> None:
    task = asyncio.create_task(run_worker(settings))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


if __name__ == "__main__":
    cli()
