"""`python -m content_service serve | migrate | worker`."""

import asyncio
import contextlib
import signal

import uvloop

from chassis import telemetry
from chassis.cli import load, service_cli
from content_service import app
from content_service.app import compose
from content_service.settings import Settings

cli = service_cli("content_service", Settings, compose)


@cli.command()
def worker() -> None:
    """Process uploaded files until SIGTERM."""
    settings = load(Settings)
    telemetry.configure("content_service", settings.log_level)
    uvloop.run(_until_stopped(settings))


async def _until_stopped(settings: Settings) -> None:
    working = asyncio.create_task(app.work(settings))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, working.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await working


if __name__ == "__main__":
    cli()
