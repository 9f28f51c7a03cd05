"""Measures the complete stack as `make up` runs it: start-up, memory and the time to the first text of an answer."""

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
from tests.benchmarks import answers, course, revocation
from tests.benchmarks.report import Progress, Row
from tests.benchmarks.thresholds import (
    FIRST_TEXT_MEDIAN,
    FIRST_TEXT_P95,
    LATER_START,
    MEMORY_EMBEDDING,
    MEMORY_IDLE,
)
from tests.local_stack import free_port

START, MEMORY, RIGHTS, ASK = PARTS = ("start", "memory", "rights", "ask")
"""The measurements of a stack."""
STARTS = 3
"""The number of later starts. The shortest one counts, because other programs disturbed it least."""
QUICK_DOCUMENTS = 15
QUESTIONS = 90
QUICK_QUESTIONS = 30


def measure(parts: Collection[str], *, quick: bool, progress: Progress) -> list[Row]:
    """Returns the rows of these parts, measured on one temporary stack."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="meno-benchmark-") as scratch:
        layout = Layout(Path(scratch), free_port())
        try:
            first, state = _up(layout, progress)
            if START in parts:
                later = []
                for _ in range(1 if quick else STARTS):
                    control.down(layout)
                    seconds, state = _up(layout, progress)
                    later.append(seconds)
                rows += _start_rows(first, min(later))
            if MEMORY in parts:
                rows += [_memory_row(MEMORY_IDLE.format(name), state, name) for name in SERVICES]
            if RIGHTS in parts:
                rows += asyncio.run(revocation.measure(layout, progress))
            if MEMORY in parts or ASK in parts:
                rows += _answer_rows(state, parts, quick=quick, progress=progress)
        finally:
            control.down(layout)
            Postgres(layout.directory).remove()
    return rows


def _up(layout: Layout, progress: Progress) -> tuple[float, State]:
    """Starts the stack and returns the seconds until it is ready, and its state."""
    progress("starting a stack")
    started = time.perf_counter()
    state, _ = control.up(layout, Console(quiet=True))
    seconds = time.perf_counter() - started
    progress(f"ready: {', '.join(state.done)}")
    return seconds, state


def _start_rows(first: float, later: float) -> list[Row]:
    return [
        Row(LATER_START, later, "s"),
        Row("first start-up to ready, against later starts", first, "s", later, first / later),
    ]


def _answer_rows(state: State, parts: Collection[str], *, quick: bool, progress: Progress) -> list[Row]:
    """Returns the rows that require embedded material and answered questions."""
    documents = course.documents()
    if not documents:
        skipped = [(ASK, FIRST_TEXT_MEDIAN), (ASK, FIRST_TEXT_P95), (MEMORY, MEMORY_EMBEDDING)]
        return [Row(name, remark="skipped: no shared data") for part, name in skipped if part in parts]
    if quick or ASK not in parts:
        documents = documents[:QUICK_DOCUMENTS]
    questions = course.questions(documents)[: QUICK_QUESTIONS if quick else QUESTIONS]
    milliseconds, cited = asyncio.run(answers.ask(state.port, documents, questions, progress))
    progress(f"{cited:.0%} of {len(questions)} answers have citations")
    rows = []
    if ASK in parts:
        # The threshold applies only to the complete course. Another name has no threshold.
        size = f", class of {len(documents)} documents"
        median, p95 = (name.partition(",")[0] + size for name in (FIRST_TEXT_MEDIAN, FIRST_TEXT_P95))
        rows.append(Row(median, statistics.median(milliseconds), "ms"))
        rows.append(Row(p95, statistics.quantiles(milliseconds, n=20)[-1], "ms"))
    if MEMORY in parts:
        rows.append(_memory_row(MEMORY_EMBEDDING, state, "content_service"))
    return rows


def _memory_row(name: str, state: State, program: str) -> Row:
    """Returns the row with the resident memory of a program and its child processes."""
    process = psutil.Process(state.programs[program].pid)
    resident = sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))
    return Row(name, resident / 2**20, "MiB")
