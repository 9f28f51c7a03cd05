"""Measures speed, quality and memory, and compares them with the thresholds: `python -m tests.benchmarks`.

It prints a table and writes build/bench.json. Each figure has a baseline of the same run or a threshold,
because machines differ in speed.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console

from deploy.stack.layout import ROOT
from tests.benchmarks import databases, events, load, people, reads, retrieval, system
from tests.benchmarks.noise import NoiseMeter
from tests.benchmarks.report import Progress, Row, save, table

FILE = ROOT / "build" / "bench.json"
NAMES = ("reads", "people", "events", "retrieval", *system.PARTS)

console = Console(highlight=False, soft_wrap=True)


def main(
    *,
    only: Annotated[
        list[str] | None, typer.Option(help=f"one of {', '.join(NAMES)}; may be repeated")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="fewer rounds, smaller classes")] = False,
) -> None:
    """Measure speed, quality and memory; print a table and write build/bench.json."""
    chosen = only or NAMES
    if unknown := {*chosen} - {*NAMES}:
        raise typer.BadParameter(f"{', '.join(unknown)}: must be one of {', '.join(NAMES)}")
    generator = load.best()
    rows: list[Row] = []
    noise = NoiseMeter()
    try:
        with databases.server() as url:
            os.environ[databases.VARIABLE] = url
            for name, measure in _measurements(chosen, generator, quick=quick):
                with _show_progress(name) as progress:
                    rows += measure(progress)
    finally:
        # The rows are saved even if a later part fails.
        save(rows, FILE)
        _print(rows, generator, noise)


def _print(rows: Sequence[Row], generator: load.LoadGenerator, noise: NoiseMeter) -> None:
    title = f"load generator: {generator.name} · CPU time of other programs: {noise.share:.0%}"
    Console(highlight=False, width=max(console.width, 130)).print(table(rows, title))
    console.print(f"[dim]written to {FILE.relative_to(ROOT)}[/]")


def _measurements(
    chosen: Sequence[str], generator: load.LoadGenerator, *, quick: bool
) -> Iterator[tuple[str, Callable[[Progress], list[Row]]]]:
    """Yields the name and the function of each chosen measurement, in order."""
    if "reads" in chosen:
        yield "reads", lambda progress: reads.measure(generator, quick=quick, progress=progress)
    if "people" in chosen:
        yield "people", lambda progress: people.measure(generator, quick=quick, progress=progress)
    if "events" in chosen:
        yield "events", lambda progress: events.measure()
    if "retrieval" in chosen:
        yield "retrieval", lambda progress: retrieval.measure(quick=quick, progress=progress)
    if parts := [part for part in system.PARTS if part in chosen]:
        yield ", ".join(parts), lambda progress: system.measure(parts, quick=quick, progress=progress)


@contextmanager
def _show_progress(name: str) -> Iterator[Progress]:
    """Shows the current step of a measurement, and at the end its duration."""
    started = time.monotonic()
    with console.status(name) as status:

        def progress(step: str) -> None:
            status.update(f"{name}: {step}")
            if not console.is_terminal:
                console.print(f"  {name}: {step}")

        yield progress
    console.print(f"[green]✓[/] {name}, {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    typer.run(main)
