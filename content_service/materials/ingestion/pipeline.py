"""Processes a material: extracts its text, splits it into chunks, embeds them and makes them searchable.

Each step is committed together with its results, so that a later attempt continues after the last batch.
Only the attempt that claimed the material last may write.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chassis.database import Database, Transaction
from chassis.telemetry import get_logger
from content_service.knowledge.embeddings import Embedder, Vector
from content_service.knowledge.store import ensure_embedding_set
from content_service.knowledge.text import to_compatibility_form
from content_service.materials.files import FileStore
from content_service.materials.ingestion import chunking, rules, store
from content_service.materials.ingestion.extraction_process import ExtractionProcess
from content_service.materials.ingestion.rules import CHUNKING, EMBEDDING, EXTRACTING, FINALIZING
from content_service.materials.ingestion.store import Attempt
from content_service.materials.ingestion.types import (
    AttemptSuperseded,
    ChunkedText,
    ChunkLimits,
    ClaimedRow,
    ExtractionLimits,
    UnembeddedChunkRow,
    UnreadableFile,
)
from content_service.materials.rules import notification_key

BATCH_CHUNKS = 16
"""The number of chunks that are embedded and committed together."""

log = get_logger()


@dataclass(frozen=True)
class Job:
    """A material that this worker has claimed."""

    material_id: str
    attempt: Attempt
    claimed: ClaimedRow


class Pipeline:
    """Processes materials."""

    def __init__(
        self, database: Database, files: FileStore, embedder: Embedder, limits: ExtractionLimits
    ) -> None:
        self._database = database
        self._files = files
        self._embedder = embedder
        self._extraction = ExtractionProcess(limits)
        self._set_id: int | None = None

    def close(self) -> None:
        """Ends the processes that read files."""
        self._extraction.close()

    async def process(self, scope_id: str, material_id: str) -> None:
        """Processes a material until it is READY or FAILED. Raises an exception if the job must be retried."""
        async with self._database.transaction() as transaction:
            claimed = await store.claim(transaction, scope_id, material_id)
            if claimed is None:
                return
            transaction.notify(notification_key(material_id))
        job = Job(material_id, Attempt(scope_id, material_id, claimed.attempt), claimed)
        try:
            await self._run(job)
        except AttemptSuperseded:
            log.warning("processing_superseded", material_id=material_id, attempt=claimed.attempt)
        except asyncio.CancelledError:
            # The worker stops. Several restarts must not make the file fail.
            async with self._database.transaction() as transaction:
                await job.attempt.give_back(transaction)
            raise

    async def _run(self, job: Job) -> None:
        failed_attempts = job.claimed.failed_attempts
        try:
            # A file that kills its worker raises no exception. Only this counter shows it.
            if failed_attempts > rules.MAX_ATTEMPTS_WITHOUT_PROGRESS:
                raise RuntimeError(f"{failed_attempts - 1} attempts made no progress")
            if not job.claimed.chunk_count:
                await self._chunk(job)
            await self._embed(job)
            async with self._step(job, FINALIZING, rules.progress_percent(FINALIZING)):
                pass
            async with self._step(job, FINALIZING, rules.progress_percent(FINALIZING)) as transaction:
                await job.attempt.finish(transaction)
        except AttemptSuperseded:
            raise
        except UnreadableFile as failure:
            await self._fail(job, failure.cause)
        except Exception as error:
            log.error(
                "processing_failed",
                material_id=job.material_id,
                failed_attempts=failed_attempts,
                exc_info=error,
            )
            if failed_attempts < rules.MAX_ATTEMPTS_WITHOUT_PROGRESS:
                raise
            await self._fail(job, "INTERNAL")

    async def _chunk(self, job: Job) -> None:
        async with self._step(job, EXTRACTING, rules.progress_percent(EXTRACTING)):
            pass
        page_count, chunks = await self._extract_chunks(job)
        if not chunks:
            raise UnreadableFile("NO_TEXT")
        progress = rules.progress_percent(EMBEDDING)
        async with self._step(job, EMBEDDING, progress, made_progress=True) as transaction:
            await job.attempt.save_chunks(transaction, chunks, page_count)

    async def _extract_chunks(self, job: Job) -> ChunkedText:
        async def on_extracted() -> None:
            async with self._step(job, CHUNKING, rules.progress_percent(CHUNKING)):
                pass

        claimed = job.claimed
        limits = ChunkLimits(claimed.chunk_tokens, claimed.chunk_overlap_tokens)
        # A file without a name: nothing of it remains if this process is killed.
        with tempfile.TemporaryFile() as copy:
            await self._files.copy_to(claimed.storage_key, copy)
            await asyncio.to_thread(copy.seek, 0)
            return await self._extraction.extract_chunks(
                copy.fileno(), claimed.content_type, claimed.charset, limits, on_extracted
            )

    async def _embed(self, job: Job) -> None:
        set_id = await self._embedding_set_id()
        last = await job.attempt.get_last_embedded(self._database, set_id)
        count = await job.attempt.get_chunk_count(self._database)
        while chunks := await job.attempt.list_chunks_after(self._database, last, BATCH_CHUNKS):
            vectors = await self._vectors(chunks, job.claimed.window_characters)
            last = chunks[-1].ordinal
            progress = rules.progress_percent(EMBEDDING, last + 1, count)
            async with self._step(job, EMBEDDING, progress, made_progress=True) as transaction:
                await job.attempt.save_embeddings(transaction, set_id, vectors)

    async def _vectors(
        self, chunks: Sequence[UnembeddedChunkRow], window_characters: int
    ) -> list[tuple[int, int, Vector]]:
        """Returns the vectors of some chunks, each with the ordinal of its chunk and its window number."""
        keys, texts = [], []
        for chunk in chunks:
            for number, window in enumerate(chunking.split_windows(chunk.text, window_characters)):
                keys.append((chunk.ordinal, number))
                texts.append(to_compatibility_form(chunking.add_context(chunk.section, window)))
        vectors = await self._embedder.embed_documents(texts)
        return [(*key, vector) for key, vector in zip(keys, vectors, strict=True)]

    async def _embedding_set_id(self) -> int:
        if self._set_id is None:
            name, dimension = self._embedder.name, self._embedder.dimension
            async with self._database.transaction() as transaction:
                self._set_id = await ensure_embedding_set(transaction, name, dimension)
        return self._set_id

    async def _fail(self, job: Job, cause: str) -> None:
        async with self._database.transaction() as transaction:
            await job.attempt.fail(transaction, rules.failure_reason(cause), rules.failure_message(cause))
            transaction.notify(notification_key(job.material_id))

    @asynccontextmanager
    async def _step(
        self, job: Job, stage: str, progress: int, *, made_progress: bool = False
    ) -> AsyncIterator[Transaction]:
        """Commits one step: the writes of the body, together with the stage and the progress."""
        async with self._database.transaction() as transaction:
            await job.attempt.advance(transaction, stage, progress, made_progress=made_progress)
            transaction.notify(notification_key(job.material_id))
            yield transaction
