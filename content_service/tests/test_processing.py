"""The work on a material: taken up again where it stopped, done once, and given up when it must be."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from chassis import jobs
from content_service.materials.ingestion import rules, store
from content_service.materials.ingestion.store import Superseded
from content_service.tests.conftest import PHOTOSYNTHESIS, SECRET, ContentService, Person, working
from meno.content.v1.material_service_pb2 import (
    FAILURE_REASON_INTERNAL,
    PROCESSING_STAGE_EMBEDDING,
    PROCESSING_STATUS_FAILED,
    PROCESSING_STATUS_READY,
    Material,
    RetryProcessingRequest,
    WatchMaterialRequest,
)

PASSAGES = 80
LONG = "\n\n".join(
    f"# Chapter {number}\n\nThe {number}th river carries sand, silt, clay and gravel down to the sea. "
    "Where it slows, it drops them in turn: stones first, mud last, and so a delta grows year by year."
    for number in range(PASSAGES)
)


@pytest.fixture
def short_passages(alone: ContentService) -> None:
    """Many passages that are embedded quickly: so many batches, so many chances to die between two."""
    execute(alone, "UPDATE knowledge_settings SET chunk_tokens = 60")


def execute(service: ContentService, query: str, *values: Any) -> list[Any]:
    with psycopg.connect(service.database_url) as connection:
        cursor = connection.execute(query, values)
        return cursor.fetchall() if cursor.description else []


def chunk_ids(service: ContentService, material: Material) -> list[str]:
    query = "SELECT chunk_id FROM material_chunks WHERE scope_id = %s AND material_id = %s ORDER BY ordinal"
    return [chunk_id for (chunk_id,) in execute(service, query, material.class_id, material.material_id)]


def assert_whole(service: ContentService, material: Material) -> None:
    """Every passage is there once, with its vectors and its words, and no job is left."""
    key = (material.class_id, material.material_id)
    [[passages, embedded, vectors, listed]] = execute(
        service,
        "SELECT (SELECT count(*) FROM material_chunks WHERE (scope_id, material_id) = (%s, %s)),"
        " count(DISTINCT ordinal), count(*),"
        " (SELECT count(DISTINCT ordinal) FROM chunk_terms WHERE (scope_id, material_id) = (%s, %s))"
        " FROM chunk_embeddings WHERE (scope_id, material_id) = (%s, %s)",
        *key * 3,
    )
    assert material.status == PROCESSING_STATUS_READY
    assert passages == embedded == listed == material.chunk_count == PASSAGES
    assert vectors >= passages
    [[ordinals]] = execute(
        service,
        "SELECT array_agg(ordinal ORDER BY ordinal) FROM material_chunks WHERE (scope_id, material_id) = (%s, %s)",
        *key,
    )
    assert ordinals == [*range(PASSAGES)]


async def until_embedding(service: ContentService, teacher: Person, material: Material) -> None:
    """Returns when some passages are embedded and others are not."""
    request = WatchMaterialRequest(class_id=teacher.class_id, material_id=material.material_id)
    async for step in service.materials.WatchMaterial(request, **teacher.auth):
        assert step.HasField("material")
        embedding = step.material.stage == PROCESSING_STAGE_EMBEDDING
        if embedding and step.material.progress_percent > rules.percent(rules.EMBEDDING):
            return


@asynccontextmanager
async def worker(service: ContentService) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m content_service worker`, which is killed at the end."""
    settings = service.settings
    values = {
        "DATABASE_URL": service.database_url,
        "SECRET": SECRET,
        "TLS_DIRECTORY": str(settings.tls_directory),
        "STORAGE_URL": settings.storage_url,
        "MODEL_CACHE": str(settings.model_cache),
        "STALLED_AFTER": "0.5",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "content_service", "worker"),
        env={
            **{f"MENO_{name}": value for name, value in values.items()},
            "PYTHONPATH": os.pathsep.join(sys.path),
            "PATH": os.environ["PATH"],
            "HOME": str(Path.home()),
        },
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def working_here(service: ContentService) -> AsyncIterator[asyncio.Task[None]]:
    """A worker in this process, which is cancelled at the end."""
    task = asyncio.create_task(jobs.work(service.parts.queue, stalled_after=0.5))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_work_whose_worker_is_killed_goes_on_where_it_stopped(
    alone: ContentService, short_passages: None
) -> None:
    teacher = alone.teacher()
    uploaded = await alone.upload(teacher, LONG)
    async with worker(alone) as first:
        await until_embedding(alone, teacher, uploaded)
        first.send_signal(signal.SIGKILL)
        assert await first.wait() == -signal.SIGKILL
    cut = chunk_ids(alone, uploaded)
    assert len(cut) == PASSAGES
    [[embedded]] = execute(alone, "SELECT count(DISTINCT ordinal) FROM chunk_embeddings")
    assert 0 < embedded < PASSAGES
    async with working_here(alone):
        ready = await alone.outcome(teacher, uploaded.material_id)
    assert_whole(alone, ready)
    assert chunk_ids(alone, uploaded) == cut
    assert execute(alone, "SELECT attempt, fruitless FROM materials") == [(2, 0)]


async def test_work_that_is_stopped_goes_on_where_it_stopped(
    alone: ContentService, short_passages: None
) -> None:
    teacher = alone.teacher()
    uploaded = await alone.upload(teacher, LONG)
    async with working_here(alone):
        await until_embedding(alone, teacher, uploaded)
    cut = chunk_ids(alone, uploaded)
    async with working_here(alone):
        assert_whole(alone, await alone.outcome(teacher, uploaded.material_id))
    assert chunk_ids(alone, uploaded) == cut


async def test_of_several_workers_at_one_material_the_last_one_finishes(
    alone: ContentService, short_passages: None
) -> None:
    teacher = alone.teacher()
    uploaded = await alone.upload(teacher, LONG)
    process = alone.parts.pipeline.process
    await asyncio.gather(*[process(teacher.class_id, uploaded.material_id) for _ in range(3)])
    assert_whole(alone, await alone.outcome(teacher, uploaded.material_id))
    assert execute(alone, "SELECT attempt FROM materials") == [(3,)]


async def test_a_finished_material_is_not_processed_again(alone: ContentService) -> None:
    teacher = alone.teacher()
    uploaded = await alone.upload(teacher, PHOTOSYNTHESIS)
    await alone.parts.pipeline.process(teacher.class_id, uploaded.material_id)
    ready, cut = await alone.outcome(teacher, uploaded.material_id), chunk_ids(alone, uploaded)
    await alone.parts.pipeline.process(teacher.class_id, uploaded.material_id)
    assert await alone.outcome(teacher, uploaded.material_id) == ready
    assert chunk_ids(alone, uploaded) == cut


async def test_an_attempt_that_was_overtaken_writes_nothing(alone: ContentService) -> None:
    teacher = alone.teacher()
    uploaded = await alone.upload(teacher, PHOTOSYNTHESIS)
    key = (teacher.class_id, uploaded.material_id)
    database = alone.parts.database
    async with database.transaction() as transaction:
        claimed = await store.claim(transaction, *key)
        assert claimed is not None
    overtaken = store.Attempt(*key, claimed.attempt)
    await alone.parts.pipeline.process(*key)
    ready, cut = await alone.outcome(teacher, uploaded.material_id), chunk_ids(alone, uploaded)
    for attempt in (overtaken, store.Attempt(*key, claimed.attempt + 1)):
        with pytest.raises(Superseded):
            async with database.transaction() as transaction:
                await attempt.advance(transaction, rules.CHUNKING, 50)
        with pytest.raises(Superseded):
            async with database.transaction() as transaction:
                await attempt.fail(transaction, "INTERNAL", "No.")
    assert await alone.outcome(teacher, uploaded.material_id) == ready
    assert chunk_ids(alone, uploaded) == cut


async def fails_for_good(service: ContentService, teacher: Person, material: Material) -> Material:
    """Processes until an attempt gives up; the first one may have brought the work further."""
    attempts = 0
    while True:
        attempts += 1
        try:
            await service.parts.pipeline.process(teacher.class_id, material.material_id)
            break
        except (FileNotFoundError, psycopg.Error):
            assert attempts <= rules.MAX_FRUITLESS
    assert attempts >= rules.MAX_FRUITLESS
    failed = await service.outcome(teacher, material.material_id)
    assert (failed.status, failed.failure_reason) == (PROCESSING_STATUS_FAILED, FAILURE_REASON_INTERNAL)
    assert failed.failure_message == rules.sentence("INTERNAL")
    return failed


async def retry(service: ContentService, teacher: Person, material: Material) -> Material:
    """Processes a material again as its teacher asks."""
    request = RetryProcessingRequest(class_id=teacher.class_id, material_id=material.material_id)
    await service.materials.RetryProcessing(request, **teacher.auth)
    await service.parts.pipeline.process(teacher.class_id, material.material_id)
    return await service.outcome(teacher, material.material_id)


async def test_a_file_that_is_gone_is_a_fault_of_ours(alone: ContentService) -> None:
    teacher = alone.teacher()
    uploaded = await alone.upload(teacher, PHOTOSYNTHESIS)
    [path] = alone.files(teacher.class_id)
    path.rename(aside := path.with_suffix(".aside"))
    await fails_for_good(alone, teacher, uploaded)
    aside.rename(path)
    assert (await retry(alone, teacher, uploaded)).status == PROCESSING_STATUS_READY


@pytest.mark.parametrize("table", ["material_chunks", "chunk_embeddings", "chunk_terms"])
async def test_work_that_always_fails_at_one_step_is_given_up(alone: ContentService, table: str) -> None:
    teacher = alone.teacher()
    uploaded = await alone.upload(teacher, PHOTOSYNTHESIS)
    execute(alone, f"ALTER TABLE {table} ADD CONSTRAINT nothing_at_all CHECK (false)")
    await fails_for_good(alone, teacher, uploaded)
    execute(alone, f"ALTER TABLE {table} DROP CONSTRAINT nothing_at_all")
    ready = await retry(alone, teacher, uploaded)
    assert (ready.status, ready.chunk_count) == (PROCESSING_STATUS_READY, 1)


async def test_a_file_that_kills_its_workers_is_given_up(alone: ContentService) -> None:
    teacher = alone.teacher()
    uploaded = await alone.upload(teacher, PHOTOSYNTHESIS)
    key = (teacher.class_id, uploaded.material_id)
    for _ in range(rules.MAX_FRUITLESS):
        async with alone.parts.database.transaction() as transaction:
            assert await store.claim(transaction, *key)
    await alone.parts.pipeline.process(*key)
    failed = await alone.outcome(teacher, uploaded.material_id)
    assert (failed.status, failed.failure_reason) == (PROCESSING_STATUS_FAILED, FAILURE_REASON_INTERNAL)
    assert (await retry(alone, teacher, uploaded)).status == PROCESSING_STATUS_READY


async def test_many_who_ask_at_once_have_it_processed_again_once(alone: ContentService) -> None:
    teacher = alone.teacher()
    uploaded = await alone.upload(teacher, " ")
    await alone.parts.pipeline.process(teacher.class_id, uploaded.material_id)
    execute(alone, "DELETE FROM procrastinate_jobs")
    request = RetryProcessingRequest(class_id=teacher.class_id, material_id=uploaded.material_id)
    calls = [alone.materials.RetryProcessing(request, **teacher.auth) for _ in range(20)]
    replies = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(reply, Material) for reply in replies) == 1
    assert execute(alone, "SELECT count(*) FROM procrastinate_jobs") == [(1,)]


async def test_a_job_exists_where_its_material_does(alone: ContentService) -> None:
    teacher = alone.teacher()
    execute(alone, "ALTER TABLE materials ADD CONSTRAINT nothing_at_all CHECK (false) NOT VALID")
    with pytest.raises(Exception, match="INTERNAL"):
        await alone.upload(teacher, PHOTOSYNTHESIS)
    assert execute(alone, "SELECT count(*) FROM procrastinate_jobs") == [(0,)]
    assert alone.files(teacher.class_id) == await alone.drafts(teacher) == []
    execute(alone, "ALTER TABLE materials DROP CONSTRAINT nothing_at_all")
    async with working_here(alone):
        await working(alone.database_url)
        assert (await alone.processed(teacher, PHOTOSYNTHESIS)).status == PROCESSING_STATUS_READY
