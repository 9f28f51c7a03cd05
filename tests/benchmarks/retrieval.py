"""What a class finds in its material, how fast, and how fast material becomes findable.

    python -m tests.benchmarks.retrieval

Questions and paragraphs of SQuAD and a course of 114 documents, from ../shared/data, go through
the service's own pipeline into a database of this run.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy
import uvloop

from chassis.testing import Postgres
from tests.benchmarks import databases, libraries
from tests.benchmarks.libraries import DATA, Library, Question

OTHER_CLASSES = 50
SAMPLE = 200
"""Questions of the slower comparisons."""

Ranks: TypeAlias = Sequence[int | None]
"""The place of the right document among the first ten, from 0, for each question."""

_ONLY_WORDS = {"meaning_weight": 0.0, "both_weight": 0.0, "bearing_threshold": -9.0}
_ONLY_MEANING = {"words_weight": 0.0, "both_weight": 0.0, "bearing_threshold": -9.0}


def measure() -> list[dict[str, Any]]:
    """Quality, speed and scope of retrieval: {name, value, unit, baseline, ratio}; empty without data."""
    if not DATA.is_dir():
        sys.stderr.write(f"skipped, for there is no {DATA}\n")
        return []
    with databases.server() as admin_url:
        postgres = Postgres(admin_url)
        url = postgres.create("content_service")
        try:
            return uvloop.run(_measure(url))
        finally:
            postgres.drop(url)
            postgres.close()


async def _measure(url: str) -> list[dict[str, Any]]:
    paragraphs, questions = libraries.paragraphs(), libraries.questions()
    some = {*sorted({question.subject for question in questions})[::2]}
    async with libraries.library(url) as library:
        entries = [await _ingestion(library)]
        await library.fill("all subjects", paragraphs)
        await library.fill("some subjects", [one for one in paragraphs if one.name.partition("#")[0] in some])
        entries += await _quality(library, questions)
        entries += await _silence(library, questions, some)
        entries.append(await _speed(library, questions[:SAMPLE]))
        return [*entries, *await _scope(library, questions[:SAMPLE])]


async def _ingestion(library: Library) -> dict[str, Any]:
    """Passages a second from file to search with one embedding thread, against embedding alone."""
    seconds = await library.fill("course", libraries.course())
    passages = library.passages("course")
    began = time.perf_counter()
    await library.embed_all(passages)
    alone = time.perf_counter() - began
    return _entry(
        "ingestion of the course, against embedding its passages whole",
        len(passages) / seconds,
        "passages/s",
        len(passages) / alone,
    )


async def _quality(library: Library, questions: Sequence[Question]) -> list[dict[str, Any]]:
    """How well the right paragraph is found among all, against words alone."""
    ranks = await _ranks(library, questions)
    async with library.settings(**_ONLY_WORDS):
        words = await _ranks(library, questions)
    measures: dict[str, Callable[[Ranks], float]] = {
        "hit@5": lambda ranks: _hits(ranks, 5),
        "hit@10": lambda ranks: _hits(ranks, 10),
        "MRR@10": _mean_reciprocal_rank,
    }
    return [
        _entry(f"retrieval {name}, against words alone", of(ranks), "share", of(words))
        for name, of in measures.items()
    ]


async def _silence(library: Library, questions: Sequence[Question], some: set[str]) -> list[dict[str, Any]]:
    """Questions outside the material that find nothing, against those inside that find something."""
    inside = [question for question in questions if question.subject in some]
    outside = [question for question in questions if question.subject not in some]
    answered = await _answered(library, "some subjects", inside)
    other_subject = 1 - await _answered(library, "some subjects", outside)
    other_field = 1 - await _answered(library, "course", questions)
    return [
        _entry("questions of other subjects that find nothing", other_subject, "share", answered),
        _entry("questions of another field that find nothing", other_field, "share", answered),
    ]


async def _speed(library: Library, questions: Sequence[Question]) -> dict[str, Any]:
    """Milliseconds of a search, against embedding its question."""
    whole, embedding = [], []
    for question in questions:
        began = time.perf_counter()
        vector = await library.embed(question.text)
        embedding.append(time.perf_counter() - began)
        await library.search("all subjects", question.text, vector)
        whole.append(time.perf_counter() - began)
    median, alone = (1000 * statistics.median(seconds) for seconds in (whole, embedding))
    return _entry("search, against embedding its question", median, "ms", alone)


async def _scope(library: Library, questions: Sequence[Question]) -> list[dict[str, Any]]:
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
        _entry("recall@10 in one class of many, against brute force", statistics.mean(recalls), "share", 1.0),
        _entry("rows returned in one class of many", statistics.mean(counts), "rows", 10.0),
        _entry("search in one class of many", 1000 * statistics.median(seconds), "ms", None),
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


def _entry(name: str, value: float, unit: str, baseline: float | None) -> dict[str, Any]:
    return {
        "name": name,
        "value": round(value, 4),
        "unit": unit,
        "baseline": round(baseline, 4) if baseline is not None else None,
        "ratio": round(value / baseline, 4) if baseline else None,
    }


if __name__ == "__main__":
    json.dump(measure(), sys.stdout, indent=2)
    sys.stdout.write("\n")
