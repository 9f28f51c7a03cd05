"""What a class finds in its material, how fast, and how fast material becomes findable.

Questions and paragraphs of SQuAD and a course of 114 documents, from ../shared/data, go through
the service's own pipeline into a database of this run.
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
from tests.benchmarks.report import Row, Say
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
"""Questions of the slower comparisons."""
QUICK_SHARE = 6
"""A quick run takes one lesson, and one question, of so many."""


Ranks: TypeAlias = Sequence[int | None]
"""The place of the right document among the first ten, from 0, for each question."""

_ONLY_WORDS = {"semantic_weight": 0.0, "hybrid_weight": 0.0, "relevance_threshold": -9.0}
_ONLY_MEANING = {"lexical_weight": 0.0, "hybrid_weight": 0.0, "relevance_threshold": -9.0}


def measure(*, quick: bool, say: Say) -> list[Row]:
    """Quality, speed and scope of retrieval."""
    if not DATA.is_dir():
        names = (INGESTION, HIT_5, HIT_10, RECIPROCAL_RANK, RECALL, ROWS_RETURNED)
        return [Row(name, remark="skipped: no shared data") for name in names]
    with databases.migrated("content_service") as url:
        return uvloop.run(_measure(url, quick=quick, say=say))


async def _measure(url: str, *, quick: bool, say: Say) -> list[Row]:
    lessons, paragraphs, questions = libraries.lessons(), libraries.paragraphs(), libraries.questions()
    some = {*sorted({question.subject for question in questions})[::2]}
    asked = questions[::QUICK_SHARE] if quick else questions
    sample = asked[:SAMPLE]
    async with libraries.library(url) as library:
        say("teaching a course")
        rows = [await _ingestion(library, lessons[::QUICK_SHARE] if quick else lessons)]
        say("teaching all subjects")
        await library.fill("all subjects", paragraphs)
        await library.fill("some subjects", [one for one in paragraphs if one.subject in some])
        say(f"asking {len(asked)} questions")
        rows += await _quality(library, asked)
        rows += await _silence(library, asked, some)
        rows.append(await _speed(library, sample))
        say(f"asking one class of {OTHER_CLASSES + 1}")
        return [*rows, *await _scope(library, sample)]


async def _ingestion(library: Library, lessons: Sequence[Document]) -> Row:
    """Passages a second from file to search with one embedding thread, against embedding alone."""
    seconds = await library.fill("course", lessons)
    passages = library.passages("course")
    began = time.perf_counter()
    await library.embed_all(passages)
    alone = time.perf_counter() - began
    return _row(
        INGESTION,
        len(passages) / seconds,
        "passages/s",
        len(passages) / alone,
    )


async def _quality(library: Library, questions: Sequence[Question]) -> list[Row]:
    """How well the right paragraph is found among all, against words alone."""
    ranks = await _ranks(library, questions)
    async with library.settings(**_ONLY_WORDS):
        words = await _ranks(library, questions)
    measures: dict[str, Callable[[Ranks], float]] = {
        HIT_5: lambda ranks: _hits(ranks, 5),
        HIT_10: lambda ranks: _hits(ranks, 10),
        RECIPROCAL_RANK: _mean_reciprocal_rank,
    }
    return [_row(name, of(ranks), "share", of(words)) for name, of in measures.items()]


async def _silence(library: Library, questions: Sequence[Question], some: set[str]) -> list[Row]:
    """Questions outside the material that find nothing, against those inside that find something."""
    inside = [question for question in questions if question.subject in some]
    outside = [question for question in questions if question.subject not in some]
    answered = await _answered(library, "some subjects", inside)
    other_subject = 1 - await _answered(library, "some subjects", outside)
    other_field = 1 - await _answered(library, "course", questions)
    return [
        _row("questions of other subjects that find nothing", other_subject, "share", answered),
        _row("questions of another field that find nothing", other_field, "share", answered),
    ]


async def _speed(library: Library, questions: Sequence[Question]) -> Row:
    """Milliseconds of a search, against embedding its question."""
    whole, embedding = [], []
    for question in questions:
        began = time.perf_counter()
        vector = await library.embed(question.text)
        embedding.append(time.perf_counter() - began)
        await library.search("all subjects", question.text, vector)
        whole.append(time.perf_counter() - began)
    median, alone = (1000 * statistics.median(seconds) for seconds in (whole, embedding))
    return _row("search, against embedding its question", median, "ms", alone)


async def _scope(library: Library, questions: Sequence[Question]) -> list[Row]:
    """The ten nearest passages of a class among many, against all cosines of the class."""
    owners, vectors = library.vectors("all subjects")
    library.multiply("all subjects", OTHER_CLASSES)
    recalls, counts, seconds = [], [], []
    for question in questions:
        vector = await library.embed(question.text)
        began = time.perf_counter()
        await library.search("all subjects", question.text, vector)
        seconds.append(time.perf_counter() - began)
        async with library.settings(**_ONLY_MEANING):
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


async def _answered(library: Library, name: str, questions: Sequence[Question]) -> float:
    """The share of questions that find something in a class."""
    return statistics.mean([bool(await library.find(name, question.text)) for question in questions])


def _hits(ranks: Ranks, first: int) -> float:
    return sum(rank is not None and rank < first for rank in ranks) / len(ranks)


def _mean_reciprocal_rank(ranks: Ranks) -> float:
    return sum(1 / (rank + 1) for rank in ranks if rank is not None) / len(ranks)


def _nearest(owners: Sequence[tuple[str, int]], cosines: Any) -> set[tuple[str, int]]:
    """The ten passages with the nearest windows."""
    nearest: dict[tuple[str, int], None] = {}
    for index in numpy.argsort(-cosines):
        nearest[owners[index]] = None
        if len(nearest) == 10:
            break
    return set(nearest)


def _row(name: str, value: float, unit: str, baseline: float) -> Row:
    return Row(name, value, unit, baseline, value / baseline)
