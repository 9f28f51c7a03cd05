"""Measures the quality and speed of retrieval, and the speed of ingestion.

Questions and paragraphs of SQuAD and a course of 114 documents, from ../shared/data, are processed by the
pipeline of the service into a temporary database.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy
import uvloop

from tests.benchmarks import databases, libraries
from tests.benchmarks.course import DATA
from tests.benchmarks.libraries import Document, Library, Question
from tests.benchmarks.report import Progress, Row
from tests.benchmarks.thresholds import (
    HIT_5,
    HIT_10,
    INGESTION,
    RECALL,
    RECIPROCAL_RANK,
    ROWS_RETURNED,
)

OTHER_CLASSES = 50
SAMPLE = 200
"""The number of questions in the slower comparisons."""
QUICK_STEP = 6
"""A quick run uses every sixth lesson and question."""

Ranks: TypeAlias = Sequence[int | None]
"""The rank of the right document among the first ten for each question, from 0, or None."""

_LEXICAL_ONLY = {"semantic_weight": 0.0, "hybrid_weight": 0.0, "relevance_threshold": -9.0}
_SEMANTIC_ONLY = {"lexical_weight": 0.0, "hybrid_weight": 0.0, "relevance_threshold": -9.0}


def measure(*, quick: bool, progress: Progress) -> list[Row]:
    """Returns the rows of retrieval and ingestion."""
    if not DATA.is_dir():
        names = (INGESTION, HIT_5, HIT_10, RECIPROCAL_RANK, RECALL, ROWS_RETURNED)
        return [Row(name, remark="skipped: no shared data") for name in names]
    with databases.migrated("content_service") as url:
        return uvloop.run(_measure(url, quick=quick, progress=progress))


async def _measure(url: str, *, quick: bool, progress: Progress) -> list[Row]:
    lessons, paragraphs, questions = libraries.lessons(), libraries.paragraphs(), libraries.questions()
    taught_subjects = {*sorted({question.subject for question in questions})[::2]}
    asked = questions[::QUICK_STEP] if quick else questions
    sample = asked[:SAMPLE]
    async with libraries.library(url) as library:
        progress("ingesting the course")
        rows = [await _ingestion(library, lessons[::QUICK_STEP] if quick else lessons)]
        progress("ingesting SQuAD")
        await library.fill("all subjects", paragraphs)
        await library.fill("some subjects", [one for one in paragraphs if one.subject in taught_subjects])
        progress(f"asking {len(asked)} questions")
        rows += await _quality(library, asked)
        rows += await _unanswerable(library, asked, taught_subjects)
        rows.append(await _speed(library, sample))
        progress(f"asking one class of {OTHER_CLASSES + 1}")
        return [*rows, *await _one_class_of_many(library, sample)]


async def _ingestion(library: Library, lessons: Sequence[Document]) -> Row:
    """Measures chunks per second from file to searchable with one embedding thread, against embedding only."""
    seconds = await library.fill("course", lessons)
    chunks = library.chunk_texts("course")
    started = time.perf_counter()
    await library.embed_all(chunks)
    embedding = time.perf_counter() - started
    return _row(
        INGESTION,
        len(chunks) / seconds,
        "chunks/s",
        len(chunks) / embedding,
    )


async def _quality(library: Library, questions: Sequence[Question]) -> list[Row]:
    """Measures how often the right paragraph is found among all, against BM25 only."""
    ranks = await _ranks(library, questions)
    async with library.settings(**_LEXICAL_ONLY):
        lexical = await _ranks(library, questions)
    measures: dict[str, Callable[[Ranks], float]] = {
        HIT_5: lambda ranks: _hits(ranks, 5),
        HIT_10: lambda ranks: _hits(ranks, 10),
        RECIPROCAL_RANK: _mean_reciprocal_rank,
    }
    return [_row(name, of(ranks), "share", of(lexical)) for name, of in measures.items()]


async def _unanswerable(library: Library, questions: Sequence[Question], taught: set[str]) -> list[Row]:
    """Measures how many questions without an answer in the class have no result.

    The baseline is the share of questions with an answer in the class that have results.
    """
    inside = [question for question in questions if question.subject in taught]
    outside = [question for question in questions if question.subject not in taught]
    answered = await _share_with_results(library, "some subjects", inside)
    other_subject = 1 - await _share_with_results(library, "some subjects", outside)
    other_field = 1 - await _share_with_results(library, "course", questions)
    return [
        _row("questions of other subjects without results", other_subject, "share", answered),
        _row("questions of another field without results", other_field, "share", answered),
    ]


async def _speed(library: Library, questions: Sequence[Question]) -> Row:
    """Measures the duration of a search, against embedding its question."""
    total, embedding = [], []
    for question in questions:
        started = time.perf_counter()
        vector = await library.embed(question.text)
        embedding.append(time.perf_counter() - started)
        await library.search("all subjects", question.text, vector)
        total.append(time.perf_counter() - started)
    median, baseline = (1000 * statistics.median(seconds) for seconds in (total, embedding))
    return _row("search, against embedding its question", median, "ms", baseline)


async def _one_class_of_many(library: Library, questions: Sequence[Question]) -> list[Row]:
    """Compares the ten nearest chunks of one class among many with an exact search in the class."""
    owners, vectors = library.vectors("all subjects")
    library.copy("all subjects", OTHER_CLASSES)
    recalls, counts, seconds = [], [], []
    for question in questions:
        vector = await library.embed(question.text)
        started = time.perf_counter()
        await library.search("all subjects", question.text, vector)
        seconds.append(time.perf_counter() - started)
        async with library.settings(**_SEMANTIC_ONLY):
            rows = await library.search("all subjects", question.text, vector)
        found = {(row.material_id, row.ordinal) for row in rows}
        nearest = _nearest(owners, vectors @ numpy.asarray(vector))
        recalls.append(len(found & nearest) / len(nearest))
        counts.append(len(rows))
    return [
        _row(RECALL, statistics.mean(recalls), "share", 1.0),
        _row(ROWS_RETURNED, statistics.mean(counts), "rows", 10.0),
        Row("search in one class of many", 1000 * statistics.median(seconds), "ms"),
    ]


async def _ranks(library: Library, questions: Sequence[Question]) -> Ranks:
    ranks: list[int | None] = []
    for question in questions:
        found = await library.find("all subjects", question.text)
        ranks.append(found.index(question.document) if question.document in found else None)
    return ranks


async def _share_with_results(library: Library, name: str, questions: Sequence[Question]) -> float:
    """Returns the share of questions that have results in a class."""
    return statistics.mean([bool(await library.find(name, question.text)) for question in questions])


def _hits(ranks: Ranks, first: int) -> float:
    return sum(rank is not None and rank < first for rank in ranks) / len(ranks)


def _mean_reciprocal_rank(ranks: Ranks) -> float:
    return sum(1 / (rank + 1) for rank in ranks if rank is not None) / len(ranks)


def _nearest(owners: Sequence[tuple[str, int]], cosines: Any) -> set[tuple[str, int]]:
    """Returns the ten chunks whose embeddings are nearest."""
    nearest: dict[tuple[str, int], None] = {}
    for index in numpy.argsort(-cosines):
        nearest[owners[index]] = None
        if len(nearest) == 10:
            break
    return set(nearest)


def _row(name: str, value: float, unit: str, baseline: float) -> Row:
    return Row(name, value, unit, baseline, value / baseline)
