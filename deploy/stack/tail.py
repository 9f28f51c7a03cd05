"""Prints the logs of the programs."""

import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.text import Text

from deploy.stack.layout import Layout

_LAST_LINES = 20
_POLL_INTERVAL_SECONDS = 0.2
_COLORS = ("cyan", "green", "magenta", "yellow", "blue", "red")


def show(layout: Layout, program: str, console: Console, follow: Callable[[], bool]) -> None:
    """Prints the last lines of each log, and then new lines as long as `follow()` is true."""
    positions: dict[Path, int] = {}
    while True:
        files = sorted((layout.directory / "logs").glob(f"{program or '*'}.log"))
        if not files:
            console.print("There are no logs yet.")
        for number, file in enumerate(files):
            _print_new(file, positions, _COLORS[number % len(_COLORS)], console)
        if not files or not follow():
            return
        try:
            time.sleep(_POLL_INTERVAL_SECONDS)
        except KeyboardInterrupt:
            return


def _print_new(file: Path, positions: dict[Path, int], color: str, console: Console) -> None:
    with file.open(errors="replace") as lines:
        # A rotated log begins again.
        position = positions.get(file, 0)
        lines.seek(position if position <= file.stat().st_size else 0)
        new = lines.readlines()
        first = file not in positions
        positions[file] = lines.tell()
    for line in new[-_LAST_LINES:] if first else new:
        console.print(Text(f"{file.stem:>16} ", style=color) + Text(line.rstrip()), soft_wrap=True)
