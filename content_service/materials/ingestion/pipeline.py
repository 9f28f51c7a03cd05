"""Processing a material: extract, cut, embed, make searchable.

Each step is committed with its results, so that whoever takes the work up again goes on after
the last batch. Only the attempt that claimed the material last may write.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from chassis.bell import Bell
from chassis.database import Database, Transaction
from chassis.models.embeddings import Embedder, Vector
from content_service.materials.files import Files
from content_service.materials.ingestion import chunking, rules, store
from content_service.materials.ingestion.extraction import Extracted
from content_service.materials.ingestion.extraction_process import Bounds, Reader
from content_service.materials.ingestion.rules import CHUNKING, EMBEDDING, EXTRACTING, FINALIZING, Unreadable
from content_service.materials.ingestion.store import Attempt, ClaimedRow, Superseded, WaitingRow
from content_service.materials.rules import HTML, MARKDOWN

BATCH = 16
"""Passages that are embedded and committed together."""

log = structlog.get_logger()

Result = TypeVar("Result")


def ring_of(material_id: str) -> str:
    """What rings when the processing of a material has moved."""
    return f"material {material_id.lower()}"


@dataclass(frozen=True)
class Work:
    """A material that this worker has claimed."""

    attempt: Attempt
    claimed: ClaimedRow
    ring: str


class Pipeline:
    """Processes materials, one call each."""

    def __init__(
        self, database: Database, bell: Bell, files: Files, embedder: Embedder, bounds: Bounds
    ) -> None:
        self._database = database
        self._bell = bell
        self._files = files
        self._embedder = embedder
        self._pool = ThreadPoolExecutor(1, "ingestion")
        self._reader = Reader(bounds, self._pool)
        self._set_id: int | None = None

    def close(self) -> None:
        """Lets go of the thread."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def process(self, scope_id: str, material_id: str) -> None:
        """Brings a material to READY or FAILED. Raises what deserves another attempt."""
        async with self._database.transaction() as transaction:
            claimed = await store.claim(transaction, scope_id, material_id)
        if claimed is None:
            return
        ring = ring_of(material_id)
        self._bell.ring(ring)
        work = Work(Attempt(scope_id, material_id, claimed.attempt), claimed, ring)
        try:
            await self._attempt(work)
        except Superseded:
            log.warning("processing_superseded", material_id=material_id, attempt=claimed.attempt)

    async def _attempt(self, work: Work) -> None:
        fruitless = work.claimed.fruitless
        try:
            # A file that kills its worker each time leaves no exception behind, only this count.
            if fruitless > rules.MAX_FRUITLESS:
                raise RuntimeError(f"{fruitless - 1} attempts came to nothing")
            if not work.claimed.chunk_count:
                await self._cut(work)
            await self._embed(work)
            async with self._step(work, FINALIZING, rules.percent(FINALIZING)):
                pass
            async with self._step(work, FINALIZING, rules.percent(FINALIZING)) as transaction:
                await work.attempt.finish(transaction)
        except Superseded:
            raise
        except Unreadable as failure:
            await self._fail(work, failure.reason)
        except Exception as error:
            log.error("processing_failed", ring=work.ring, fruitless=fruitless, exc_info=error)
            if fruitless < rules.MAX_FRUITLESS:
                raise
            await self._fail(work, "INTERNAL")

    async def _cut(self, work: Work) -> None:
        async with self._step(work, EXTRACTING, rules.percent(EXTRACTING)):
            pass
        extracted = await self._extract(work.claimed)
        async with self._step(work, CHUNKING, rules.percent(CHUNKING)):
            pass
        passages = await self._apart(
            partial(
                chunking.passages,
                extracted,
                markdown=work.claimed.content_type in {MARKDOWN, HTML},
                tokens=work.claimed.chunk_tokens,
                overlap=work.claimed.chunk_overlap_tokens,
            )
        )
        if not passages:
            raise Unreadable("NO_TEXT")
        async with self._step(work, EMBEDDING, rules.percent(EMBEDDING), fruitful=True) as transaction:
            await work.attempt.save_chunks(transaction, passages, len(extracted.page_starts))

    async def _extract(self, claimed: ClaimedRow) -> Extracted:
        with tempfile.NamedTemporaryFile(prefix="meno-") as copy:
            await self._files.copy_to(claimed.storage_key, copy)
            await self._apart(copy.flush)
            return await self._reader.read(claimed.content_type, Path(copy.name))

    async def _embed(self, work: Work) -> None:
        set_id = await self._embedding_set()
        last = await work.attempt.last_embedded(self._database, set_id)
        count = await work.attempt.chunk_count(self._database)
        while waiting := await work.attempt.waiting(self._database, last, BATCH):
            vectors = await self._vectors(waiting, work.claimed.window_characters)
            last = waiting[-1].ordinal
            progress = rules.percent(EMBEDDING, last + 1, count)
            async with self._step(work, EMBEDDING, progress, fruitful=True) as transaction:
                await work.attempt.save_embeddings(transaction, set_id, vectors)

    async def _vectors(
        self, waiting: Sequence[WaitingRow], window_characters: int
    ) -> list[tuple[int, int, Vector]]:
        """The vectors of some passages, by ordinal and window."""
        places, parts = [], []
        for row in waiting:
            for window, part in enumerate(chunking.windows(row.text, window_characters)):
                places.append((row.ordinal, window))
                parts.append(chunking.with_context(row.section, part))
        vectors = await self._embedder.embed_passages(parts)
        return [(*place, vector) for place, vector in zip(places, vectors, strict=True)]

    async def _embedding_set(self) -> int:
        if self._set_id is None:
            name, dimension = self._embedder.name, self._embedder.dimension
            async with self._database.transaction() as transaction:
                self._set_id = await store.embedding_set(transaction, name, dimension)
        return self._set_id

    async def _fail(self, work: Work, reason: str) -> None:
        async with self._database.transaction() as transaction:
            await work.attempt.fail(transaction, reason, rules.sentence(reason))
        self._bell.ring(work.ring)

    @asynccontextmanager
    async def _step(
        self, work: Work, stage: str, progress: int, *, fruitful: bool = False
    ) -> AsyncIterator[Transaction]:
        """One commit of the work: what the body writes, and how far that brings it."""
        async with self._database.transaction() as transaction:
            await work.attempt.advance(transaction, stage, progress, fruitful=fruitful)
            yield transaction
        self._bell.ring(work.ring)

    async def _apart(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)
