"""`python -m tests.benchmarks`: measures speed, quality and memory, and holds them against the bars.

Prints a table and writes build/bench.json. Every figure stands beside one that was measured in
the same run, or beside its bar, for no two machines are equally fast.
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
from tests.benchmarks.noise import Neighbours
from tests.benchmarks.report import Row, Say, save, table

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
        raise typer.BadParameter(f"{', '.join(unknown)}: choose among {', '.join(NAMES)}")
    used = load.best()
    rows: list[Row] = []
    neighbours = Neighbours()
    try:
        with databases.server() as url:
            os.environ[databases.VARIABLE] = url
            for name, measure in _work(chosen, used, quick=quick):
                with _progress(name) as say:
                    rows += measure(say)
    finally:
        # What is measured is kept, also when a later part fails.
        save(rows, FILE)
        _show(rows, used, neighbours)


def _show(rows: Sequence[Row], used: load.Load, neighbours: Neighbours) -> None:
    title = f"load: {used.name} · other programs took {neighbours.share:.0%} of this machine meanwhile"
    Console(highlight=False, width=max(console.width, 130)).print(table(rows, title))
    console.print(f"[dim]the same is in {FILE.relative_to(ROOT)}[/]")


def _work(
    chosen: Sequence[str], used: load.Load, *, quick: bool
) -> Iterator[tuple[str, Callable[[Say], list[Row]]]]:
    """What is to be measured, in order."""
    if "reads" in chosen:
        yield "reads", lambda say: reads.measure(used, quick=quick, say=say)
    if "people" in chosen:
        yield "people", lambda say: people.measure(used, quick=quick, say=say)
    if "events" in chosen:
        yield "events", lambda say: events.measure()
    if "retrieval" in chosen:
        yield "retrieval", lambda say: retrieval.measure(quick=quick, say=say)
    if parts := [part for part in system.PARTS if part in chosen]:
        yield ", ".join(parts), lambda say: system.measure(parts, quick=quick, say=say)


@contextmanager
def _progress(name: str) -> Iterator[Say]:
    """Shows what is being done, and how long all of it took."""
    began = time.monotonic()
    with console.status(name) as status:

        def say(what: str) -> None:
            status.update(f"{name}: {what}")
            if not console.is_terminal:
                console.print(f"  {name}: {what}")

        yield say
    console.print(f"[green]✓[/] {name}, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    typer.run(main)
