"""Limits the size of the logs while the programs write to them."""

import asyncio
import logging
import os
import shutil
from pathlib import Path

MAX_LOG_BYTES = 10 * 1024 * 1024
"""A log grew by up to 20 MiB in an hour of attacks on the gateway. The earlier part of the same size is kept."""
_INTERVAL_SECONDS = 10.0

_log = logging.getLogger(__name__)


async def run(directory: Path) -> None:
    """Rotates the logs in a directory whenever they are too large. Never returns."""
    while True:
        try:
            await asyncio.to_thread(rotate, directory)
        except OSError as error:
            _log.warning("cannot rotate the logs: %s", error)
        await asyncio.sleep(_INTERVAL_SECONDS)


def rotate(directory: Path) -> None:
    """Moves the content of each log that is too large to a file with the suffix `.1`, which it replaces.

    The log itself is truncated, not renamed, because programs keep it open and append to it. A line that is
    written during the copy can be lost.
    """
    for log in directory.glob("*.log"):
        if log.stat().st_size > MAX_LOG_BYTES:
            shutil.copy(log, log.with_name(f"{log.name}.1"))
            os.truncate(log, 0)
