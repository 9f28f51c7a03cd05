"""Processing: interrupted work continues, is done once, and fails after several attempts."""

import asyncio
import os
import signal
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any

import psycopg
import pytest
from procrastinate.jobs import Status as JobStatus

from chassis import jobs
from chassis.testing import execute_sql
from content_service.materials.ingestion import rules, store
from content_service.materials.ingestion.types import AttemptSuperseded
from content_service.tests.conftest import PHOTOSYNTHESIS, SECRET, ContentService, Person, wait_for_worker
from meno.content.v1.material_service_pb2 import RetryProcessingRequest, WatchMaterialRequest
from meno.content.v1.resources_pb2 import (
    FAILURE_REASON_INTERNAL,
    PROCESSING_STAGE_EMBEDDING,
    PROCESSING_STATUS_FAILED,
    PROCESSING_STATUS_READY,
    Material,
)

CHUNKS = 80
LONG = "\n\n".join(
    f"# Chapter {number}\n\nThe {number}th river carries sand, silt, clay and gravel down to the sea. "
    "Where it slows, it drops them in turn: stones first, mud last, and so a delta grows year by year."
    for number in range(CHUNKS)
)


@pytest.fixture
def short_chunks(isolated: ContentService) -> None:
    """Makes chunks short, so that there are many batches and a worker can be killed between two."""
    execute_sql(isolated.database_url, "UPDATE knowledge_settings SET chunk_tokens = 60")


def chunk_ids(service: ContentService, material: Material) -> list[str]:
    query = "SELECT chunk_id FROM material_chunks WHERE scope_id = %s AND material_id = %s ORDER BY ordinal"
    return [
        chunk_id
        for (chunk_id,) in execute_sql(service.database_url, query, material.class_id, material.material_id)
    ]


def assert_processed_once(service: ContentService, material: Material) -> None:
    """Asserts that every chunk exists once, with its vectors and terms."""
    key = (material.class_id, material.material_id)
    [[chunks, embedded, vectors, indexed]] = execute_sql(
        service.database_url,
        "SELECT (SELECT count(*) FROM material_chunks WHERE (scope_id, material_id) = (%s, %s)),"
        " count(DISTINCT ordinal), count(*),"
        " (SELECT count(DISTINCT ordinal) FROM chunk_terms WHERE (scope_id, material_id) = (%s, %s))"
        " FROM chunk_embeddings WHERE (scope_id, material_id) = (%s, %s)",
        *key * 3,
    )
    assert material.status == PROCESSING_STATUS_READY
    assert chunks == embedded == indexed == material.chunk_count == CHUNKS
    assert vectors >= chunks
    [[ordinals]] = execute_sql(
        service.database_url,
        "SELECT array_agg(ordinal ORDER BY ordinal) FROM material_chunks WHERE (scope_id, material_id) = (%s, %s)",
        *key,
    )
    assert ordinals == [*range(CHUNKS)]


async def wait_until_embedding(service: ContentService, teacher: Person, material: Material) -> None:
    """Returns when some chunks are embedded and others are not."""
    request = WatchMaterialRequest(class_id=teacher.class_id, material_id=material.material_id)
    async for step in service.materials.WatchMaterial(request, **teacher.auth):
        assert step.HasField("material")
        embedding = step.material.stage == PROCESSING_STAGE_EMBEDDING
        if embedding and step.material.progress_percent > rules.progress_percent(rules.EMBEDDING):
            return


@asynccontextmanager
async def run_worker_process(service: ContentService) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs `python -m content_service worker`; kills it at the end."""
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
async def run_worker(service: ContentService) -> AsyncIterator[asyncio.Task[None]]:
    """Runs a worker in this process; cancels it at the end."""
    task = asyncio.create_task(jobs.work(service.components.queue, stalled_after=0.5))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_processing_continues_after_its_worker_was_killed(
    isolated: ContentService, short_chunks: None
) -> None:
    teacher = isolated.teacher()
    uploaded = await isolated.upload(teacher, LONG)
    async with run_worker_process(isolated) as first:
        await wait_until_embedding(isolated, teacher, uploaded)
        first.send_signal(signal.SIGKILL)
        assert await first.wait() == -signal.SIGKILL
    before = chunk_ids(isolated, uploaded)
    assert len(before) == CHUNKS
    [[embedded]] = execute_sql(isolated.database_url, "SELECT count(DISTINCT ordinal) FROM chunk_embeddings")
    assert 0 < embedded < CHUNKS
    async with run_worker(isolated):
        ready = await isolated.wait_until_processed(teacher, uploaded.material_id)
    assert_processed_once(isolated, ready)
    assert chunk_ids(isolated, uploaded) == before
    assert execute_sql(isolated.database_url, "SELECT attempt, failed_attempts FROM materials") == [(2, 0)]


async def test_processing_continues_after_its_worker_was_stopped(
    isolated: ContentService, short_chunks: None
) -> None:
    teacher = isolated.teacher()
    uploaded = await isolated.upload(teacher, LONG)
    async with run_worker(isolated):
        await wait_until_embedding(isolated, teacher, uploaded)
    before = chunk_ids(isolated, uploaded)
    async with run_worker(isolated):
        assert_processed_once(isolated, await isolated.wait_until_processed(teacher, uploaded.material_id))
    assert chunk_ids(isolated, uploaded) == before


async def test_restarts_of_the_worker_are_not_failures_of_the_material(
    isolated: ContentService, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher, extracting = isolated.teacher(), asyncio.Event()
    uploaded = await isolated.upload(teacher, PHOTOSYNTHESIS)
    pipeline = isolated.components.pipeline

    async def extract_forever(*arguments: object) -> None:
        extracting.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "_extract_chunks", extract_forever)
        for _ in range(rules.MAX_ATTEMPTS_WITHOUT_PROGRESS + 1):
            attempt = asyncio.create_task(pipeline.process(teacher.class_id, uploaded.material_id))
            await extracting.wait()
            extracting.clear()
            attempt.cancel()
            [outcome] = await asyncio.gather(attempt, return_exceptions=True)
            assert isinstance(outcome, asyncio.CancelledError)
    await pipeline.process(teacher.class_id, uploaded.material_id)
    ready = await isolated.wait_until_processed(teacher, uploaded.material_id)
    assert ready.status == PROCESSING_STATUS_READY


async def test_the_last_of_several_workers_finishes_a_material(
    isolated: ContentService, short_chunks: None
) -> None:
    teacher = isolated.teacher()
    uploaded = await isolated.upload(teacher, LONG)
    process = isolated.components.pipeline.process
    await asyncio.gather(*[process(teacher.class_id, uploaded.material_id) for _ in range(3)])
    assert_processed_once(isolated, await isolated.wait_until_processed(teacher, uploaded.material_id))
    assert execute_sql(isolated.database_url, "SELECT attempt FROM materials") == [(3,)]


async def test_a_finished_material_is_not_processed_again(isolated: ContentService) -> None:
    teacher = isolated.teacher()
    uploaded = await isolated.upload(teacher, PHOTOSYNTHESIS)
    await isolated.components.pipeline.process(teacher.class_id, uploaded.material_id)
    ready, before = (
        await isolated.wait_until_processed(teacher, uploaded.material_id),
        chunk_ids(isolated, uploaded),
    )
    await isolated.components.pipeline.process(teacher.class_id, uploaded.material_id)
    assert await isolated.wait_until_processed(teacher, uploaded.material_id) == ready
    assert chunk_ids(isolated, uploaded) == before


@pytest.fixture
def temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory in which this process creates temporary files."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    return directory


async def test_the_copy_of_a_file_has_no_name_that_would_outlive_the_process(
    isolated: ContentService, temporary_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_to = isolated.components.files.copy_to
    names: list[list[str]] = []

    async def copy_and_list(key: str, target: IO[bytes]) -> None:
        await copy_to(key, target)
        names.append(os.listdir(temporary_directory))

    monkeypatch.setattr(isolated.components.files, "copy_to", copy_and_list)
    teacher = isolated.teacher()
    uploaded = await isolated.upload(teacher, PHOTOSYNTHESIS)
    await isolated.components.pipeline.process(teacher.class_id, uploaded.material_id)
    ready = await isolated.wait_until_processed(teacher, uploaded.material_id)
    assert (ready.status, names) == (PROCESSING_STATUS_READY, [[]])


async def test_a_superseded_attempt_writes_nothing(isolated: ContentService) -> None:
    teacher = isolated.teacher()
    uploaded = await isolated.upload(teacher, PHOTOSYNTHESIS)
    key = (teacher.class_id, uploaded.material_id)
    database = isolated.components.database
    async with database.transaction() as transaction:
        claimed = await store.claim(transaction, *key)
        assert claimed is not None
    superseded = store.Attempt(*key, claimed.attempt)
    await isolated.components.pipeline.process(*key)
    ready, before = (
        await isolated.wait_until_processed(teacher, uploaded.material_id),
        chunk_ids(isolated, uploaded),
    )
    for attempt in (superseded, store.Attempt(*key, claimed.attempt + 1)):
        with pytest.raises(AttemptSuperseded):
            async with database.transaction() as transaction:
                await attempt.advance(transaction, rules.CHUNKING, 50)
        with pytest.raises(AttemptSuperseded):
            async with database.transaction() as transaction:
                await attempt.fail(transaction, "INTERNAL", "No.")
    assert await isolated.wait_until_processed(teacher, uploaded.material_id) == ready
    assert chunk_ids(isolated, uploaded) == before


async def process_until_failed(service: ContentService, teacher: Person, material: Material) -> Material:
    """Processes a material until it is FAILED. The first attempt may have made progress."""
    attempts = 0
    while True:
        attempts += 1
        try:
            await service.components.pipeline.process(teacher.class_id, material.material_id)
            break
        except (FileNotFoundError, psycopg.Error):
            assert attempts <= rules.MAX_ATTEMPTS_WITHOUT_PROGRESS
    assert attempts >= rules.MAX_ATTEMPTS_WITHOUT_PROGRESS
    failed = await service.wait_until_processed(teacher, material.material_id)
    assert (failed.status, failed.failure_reason) == (PROCESSING_STATUS_FAILED, FAILURE_REASON_INTERNAL)
    assert failed.failure_message == rules.failure_message("INTERNAL")
    return failed


async def retry(service: ContentService, teacher: Person, material: Material) -> Material:
    """Retries the processing of a failed material."""
    request = RetryProcessingRequest(class_id=teacher.class_id, material_id=material.material_id)
    await service.materials.RetryProcessing(request, **teacher.auth)
    await service.components.pipeline.process(teacher.class_id, material.material_id)
    return await service.wait_until_processed(teacher, material.material_id)


async def test_a_missing_file_is_an_internal_failure(isolated: ContentService) -> None:
    teacher = isolated.teacher()
    uploaded = await isolated.upload(teacher, PHOTOSYNTHESIS)
    [path] = isolated.files(teacher.class_id)
    path.rename(aside := path.with_suffix(".aside"))
    await process_until_failed(isolated, teacher, uploaded)
    aside.rename(path)
    assert (await retry(isolated, teacher, uploaded)).status == PROCESSING_STATUS_READY


@pytest.mark.parametrize("table", ["material_chunks", "chunk_embeddings", "chunk_terms"])
async def test_processing_fails_if_one_step_always_fails(isolated: ContentService, table: str) -> None:
    teacher = isolated.teacher()
    uploaded = await isolated.upload(teacher, PHOTOSYNTHESIS)
    execute_sql(isolated.database_url, f"ALTER TABLE {table} ADD CONSTRAINT nothing_at_all CHECK (false)")
    await process_until_failed(isolated, teacher, uploaded)
    execute_sql(isolated.database_url, f"ALTER TABLE {table} DROP CONSTRAINT nothing_at_all")
    ready = await retry(isolated, teacher, uploaded)
    assert (ready.status, ready.chunk_count) == (PROCESSING_STATUS_READY, 1)


async def test_processing_fails_if_a_file_kills_its_workers(isolated: ContentService) -> None:
    teacher = isolated.teacher()
    uploaded = await isolated.upload(teacher, PHOTOSYNTHESIS)
    key = (teacher.class_id, uploaded.material_id)
    for _ in range(rules.MAX_ATTEMPTS_WITHOUT_PROGRESS):
        async with isolated.components.database.transaction() as transaction:
            assert await store.claim(transaction, *key)
    await isolated.components.pipeline.process(*key)
    failed = await isolated.wait_until_processed(teacher, uploaded.material_id)
    assert (failed.status, failed.failure_reason) == (PROCESSING_STATUS_FAILED, FAILURE_REASON_INTERNAL)
    assert (await retry(isolated, teacher, uploaded)).status == PROCESSING_STATUS_READY


async def test_concurrent_retries_defer_one_job(isolated: ContentService) -> None:
    teacher = isolated.teacher()
    uploaded = await isolated.upload(teacher, " ")
    await isolated.components.pipeline.process(teacher.class_id, uploaded.material_id)
    execute_sql(isolated.database_url, "DELETE FROM procrastinate_jobs")
    request = RetryProcessingRequest(class_id=teacher.class_id, material_id=uploaded.material_id)
    calls = [isolated.materials.RetryProcessing(request, **teacher.auth) for _ in range(20)]
    replies = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(reply, Material) for reply in replies) == 1
    assert execute_sql(isolated.database_url, "SELECT count(*) FROM procrastinate_jobs") == [(1,)]


async def test_classes_take_turns(isolated: ContentService) -> None:
    many, few, one = isolated.teacher(), isolated.teacher(), isolated.teacher()
    uploads = [many, many, many, few, few, one]
    for teacher in uploads:
        await isolated.upload(teacher, PHOTOSYNTHESIS)
    [[worker]] = execute_sql(
        isolated.database_url, "INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id"
    )
    turns = []
    async with isolated.components.queue.open_async() as queue:
        for _ in uploads:
            fetched = await queue.job_manager.fetch_job(queues=None, worker_id=worker)
            assert fetched is not None
            turns.append(fetched.task_kwargs["scope_id"])
            await queue.job_manager.finish_job(fetched, JobStatus.SUCCEEDED, delete_job=True)
    assert turns == [teacher.class_id for teacher in (many, few, one, many, few, many)]


async def fetch_classes(service: ContentService, number: int) -> list[Any]:
    """Fetches jobs as a worker does, without finishing them; returns the class of each, or None without a job."""
    [[worker]] = execute_sql(
        service.database_url, "INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id"
    )
    async with service.components.queue.open_async() as queue:
        fetched = [await queue.job_manager.fetch_job(queues=None, worker_id=worker) for _ in range(number)]
    return [job.task_kwargs["scope_id"] if job else None for job in fetched]


async def test_users_take_turns(isolated: ContentService) -> None:
    user_id = str(uuid.uuid4())
    many = [isolated.teacher(user_id=user_id) for _ in range(3)]
    await asyncio.gather(*(isolated.upload(teacher, PHOTOSYNTHESIS) for teacher in many))
    other = isolated.teacher()
    await isolated.upload(other, PHOTOSYNTHESIS)
    first, second, *others = await fetch_classes(isolated, 4)
    assert second == other.class_id
    assert {first, *others} == {teacher.class_id for teacher in many}


async def test_a_user_who_processes_materials_again_takes_turns(isolated: ContentService) -> None:
    user_id = str(uuid.uuid4())
    first, second = (isolated.teacher(user_id=user_id) for _ in range(2))
    uploads = [(teacher, await isolated.upload(teacher, " ")) for teacher in (first, second)]
    for teacher, uploaded in uploads:
        await isolated.components.pipeline.process(teacher.class_id, uploaded.material_id)
    execute_sql(isolated.database_url, "DELETE FROM procrastinate_jobs")
    for teacher, uploaded in uploads:
        request = RetryProcessingRequest(class_id=teacher.class_id, material_id=uploaded.material_id)
        await isolated.materials.RetryProcessing(request, **teacher.auth)
    other = isolated.teacher()
    await isolated.upload(other, PHOTOSYNTHESIS)
    assert await fetch_classes(isolated, 3) == [first.class_id, other.class_id, second.class_id]


async def test_a_class_does_not_occupy_a_second_worker(isolated: ContentService) -> None:
    slow, other = isolated.teacher(), isolated.teacher()
    for teacher in (slow, slow, other):
        await isolated.upload(teacher, PHOTOSYNTHESIS)
    assert await fetch_classes(isolated, 3) == [slow.class_id, other.class_id, None]


async def test_a_job_exists_only_if_its_material_is_committed(isolated: ContentService) -> None:
    teacher = isolated.teacher()
    execute_sql(
        isolated.database_url, "ALTER TABLE materials ADD CONSTRAINT nothing_at_all CHECK (false) NOT VALID"
    )
    with pytest.raises(Exception, match="INTERNAL"):
        await isolated.upload(teacher, PHOTOSYNTHESIS)
    assert execute_sql(isolated.database_url, "SELECT count(*) FROM procrastinate_jobs") == [(0,)]
    assert isolated.files(teacher.class_id) == await isolated.drafts(teacher) == []
    execute_sql(isolated.database_url, "ALTER TABLE materials DROP CONSTRAINT nothing_at_all")
    async with run_worker(isolated):
        await wait_for_worker(isolated.database_url)
        assert (await isolated.upload_and_process(teacher, PHOTOSYNTHESIS)).status == PROCESSING_STATUS_READY
