"""The whole stack as `make up` runs it: how soon it is ready, what it holds, how soon it answers."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Collection
from pathlib import Path

import psutil
from rich.console import Console

from deploy.stack import control
from deploy.stack.layout import SERVICES, Layout
from deploy.stack.postgres import Postgres
from deploy.stack.state import State
from tests.benchmarks import asking, course, rights
from tests.benchmarks.report import Row, Say
from tests.benchmarks.thresholds import (
    FIRST_WORDS_MEDIAN,
    FIRST_WORDS_P95,
    LATER_START,
    MEMORY_EMBEDDING,
    MEMORY_IDLE,
)
from tests.local_stack import free_port

START, MEMORY, RIGHTS, ASK = PARTS = ("start", "memory", "rights", "ask")
"""What can be measured of it."""
STARTS = 3
"""Later than the first; the shortest is the one that neighbours disturbed least."""
QUICK_DOCUMENTS = 15
QUESTIONS = 90
QUICK_QUESTIONS = 30


def measure(parts: Collection[str], *, quick: bool, say: Say) -> list[Row]:
    """The rows of these parts, from one stack that is gone afterwards."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="meno-benchmark-") as scratch:
        layout = Layout(Path(scratch), free_port())
        try:
            first, state = _up(layout, say)
            if START in parts:
                later = []
                for _ in range(1 if quick else STARTS):
                    control.down(layout)
                    seconds, state = _up(layout, say)
                    later.append(seconds)
                rows += _starts(first, min(later))
            if MEMORY in parts:
                rows += [_memory(MEMORY_IDLE.format(name), state, name) for name in SERVICES]
            if RIGHTS in parts:
                rows += asyncio.run(rights.measure(layout, say))
            if MEMORY in parts or ASK in parts:
                rows += _asked(state, parts, quick=quick, say=say)
        finally:
            control.down(layout)
            Postgres(layout.directory).remove()
    return rows


def _up(layout: Layout, say: Say) -> tuple[float, State]:
    """Brings the stack up; returns the seconds that it took."""
    say("starting a stack")
    began = time.perf_counter()
    state, _ = control.up(layout, Console(quiet=True))
    seconds = time.perf_counter() - began
    say(f"ready: {', '.join(state.done)}")
    return seconds, state


def _starts(first: float, later: float) -> list[Row]:
    return [
        Row(LATER_START, later, "s"),
        Row("start-up from nothing to ready, against a later one", first, "s", later, first / later),
    ]


def _asked(state: State, parts: Collection[str], *, quick: bool, say: Say) -> list[Row]:
    """What is known only once material has been embedded and asked about."""
    documents = course.documents()
    if not documents:
        skipped = [(ASK, FIRST_WORDS_MEDIAN), (ASK, FIRST_WORDS_P95), (MEMORY, MEMORY_EMBEDDING)]
        return [Row(name, remark="skipped: no shared data") for part, name in skipped if part in parts]
    if quick or ASK not in parts:
        documents = documents[:QUICK_DOCUMENTS]
    questions = course.questions(documents)[: QUICK_QUESTIONS if quick else QUESTIONS]
    milliseconds, citing = asyncio.run(asking.ask(state.port, documents, questions, say))
    say(f"{citing:.0%} of {len(questions)} answers cite")
    rows = []
    if ASK in parts:
        # A class that is smaller than the bar's is not held against it.
        of = f", class of {len(documents)} documents"
        median, p95 = (name.partition(",")[0] + of for name in (FIRST_WORDS_MEDIAN, FIRST_WORDS_P95))
        rows.append(Row(median, statistics.median(milliseconds), "ms"))
        rows.append(Row(p95, statistics.quantiles(milliseconds, n=20)[-1], "ms"))
    if MEMORY in parts:
        rows.append(_memory(MEMORY_EMBEDDING, state, "content_service"))
    return rows


def _memory(name: str, state: State, program: str) -> Row:
    """Resident memory of a program and its children."""
    process = psutil.Process(state.programs[program].pid)
    resident = sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))
    return Row(name, resident / 2**20, "MiB")
