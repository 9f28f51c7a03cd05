"""SQL of ingestion. Every write of a worker requires that its attempt is the current one."""

import asyncio
import json
from collections.abc import Sequence

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import (
    ARRAY,
    Boolean,
    Integer,
    SmallInteger,
    Text,
    bindparam,
    case,
    cast,
    column,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, REGCONFIG

from chassis.database import Executor, Transaction, statement
from content_service.authoring.visibility import scope
from content_service.knowledge.embeddings import Vector, to_pgvector
from content_service.knowledge.terms import to_term_text
from content_service.materials.ingestion.types import (
    AttemptSuperseded,
    ChunkDraft,
    ClaimedRow,
    UnembeddedChunkRow,
)
from content_service.materials.rules import FAILED, PENDING, PROCESSING, READY
from content_service.tables import (
    chunk_embeddings,
    chunk_terms,
    knowledge_settings,
    material_chunks,
    materials,
)

_TERM_BATCH_CHUNKS = 200

_material_id = bindparam("material_id", type_=materials.c.material_id.type)
_THE_MATERIAL = (materials.c.scope_id == scope(), materials.c.material_id == _material_id)
_CURRENT_ATTEMPT = (
    *_THE_MATERIAL,
    materials.c.status == PROCESSING,
    materials.c.attempt == bindparam("attempt"),
)

CLAIM = statement(
    update(materials)
    .where(
        *_THE_MATERIAL,
        or_(materials.c.status == PENDING, materials.c.status == PROCESSING),
        knowledge_settings.c.singleton == true(),
    )
    .values(
        attempt=materials.c.attempt + 1,
        failed_attempts=materials.c.failed_attempts + 1,
        status=literal(PROCESSING),
        stage=case((materials.c.chunk_count > 0, literal("EMBEDDING")), else_=literal("EXTRACTING")),
        updated_at=func.clock_timestamp(),
    )
    .returning(
        materials.c.attempt,
        materials.c.failed_attempts,
        materials.c.storage_key,
        materials.c.content_type,
        materials.c.charset,
        materials.c.chunk_count,
        knowledge_settings.c.chunk_tokens,
        knowledge_settings.c.chunk_overlap_tokens,
        knowledge_settings.c.window_characters,
    ),
    ClaimedRow,
)
ADVANCE = statement(
    update(materials)
    .where(*_CURRENT_ATTEMPT)
    .values(
        stage=bindparam("stage"),
        progress=func.greatest(materials.c.progress, bindparam("progress", type_=SmallInteger)),
        failed_attempts=case(
            (bindparam("made_progress", type_=Boolean), literal(0)), else_=materials.c.failed_attempts
        ),
        updated_at=func.clock_timestamp(),
    )
)
GIVE_BACK = statement(
    update(materials)
    .where(*_CURRENT_ATTEMPT)
    # It is 0 already if the attempt has made progress.
    .values(failed_attempts=func.greatest(materials.c.failed_attempts - 1, 0))
)
SET_COUNTS = statement(
    update(materials)
    .where(*_CURRENT_ATTEMPT)
    .values(chunk_count=bindparam("chunk_count"), page_count=bindparam("page_count"))
)
FINISH = statement(
    update(materials)
    .where(*_CURRENT_ATTEMPT)
    .values(
        status=literal(READY),
        stage=literal(READY),
        progress=literal(100),
        term_count=bindparam("term_count"),
        updated_at=func.clock_timestamp(),
    )
)
FAIL = statement(
    update(materials)
    .where(*_CURRENT_ATTEMPT)
    .values(
        status=literal(FAILED),
        stage=literal(FAILED),
        failure_reason=bindparam("failure_reason"),
        failure_message=bindparam("failure_message"),
        updated_at=func.clock_timestamp(),
    )
)
_of_chunks = (material_chunks.c.scope_id == scope(), material_chunks.c.material_id == _material_id)
DELETE_CHUNKS = statement(delete(material_chunks).where(*_of_chunks))
_chunks = (
    func.unnest(
        bindparam("pages", type_=ARRAY(Integer)),
        bindparam("sections", type_=ARRAY(Text)),
        bindparam("starts", type_=ARRAY(Integer)),
        bindparam("ends", type_=ARRAY(Integer)),
        bindparam("texts", type_=ARRAY(Text)),
        bindparam("places", type_=ARRAY(Text)),
    )
    .table_valued("page", "section", "char_start", "char_end", "text", "places", with_ordinality="number")
    .render_derived()
)
INSERT_CHUNKS = statement(
    insert(material_chunks).from_select(
        ["scope_id", "material_id", "ordinal", "page", "section", "char_start", "char_end", "text", "places"],
        select(
            scope(),
            _material_id,
            _chunks.c.number - 1,
            _chunks.c.page,
            _chunks.c.section,
            _chunks.c.char_start,
            _chunks.c.char_end,
            _chunks.c.text,
            cast(_chunks.c.places, JSONB),
        ),
    )
)
_of_embeddings = (
    chunk_embeddings.c.scope_id == scope(),
    chunk_embeddings.c.set_id == bindparam("set_id"),
    chunk_embeddings.c.material_id == _material_id,
)
GET_LAST_EMBEDDED = statement(
    select(func.coalesce(func.max(chunk_embeddings.c.ordinal), literal(-1))).where(*_of_embeddings), int
)
GET_CHUNK_COUNT = statement(select(materials.c.chunk_count).where(*_THE_MATERIAL), int)
LIST_CHUNKS_AFTER = statement(
    select(material_chunks.c.ordinal, material_chunks.c.section, material_chunks.c.text)
    .where(*_of_chunks, material_chunks.c.ordinal > bindparam("after"))
    .order_by(material_chunks.c.ordinal)
    .limit(bindparam("limit")),
    UnembeddedChunkRow,
)
_vectors = (
    func.unnest(
        bindparam("ordinals", type_=ARRAY(Integer)),
        bindparam("windows", type_=ARRAY(SmallInteger)),
        bindparam("vectors", type_=ARRAY(Text)),
    )
    .table_valued("ordinal", "window", "vector")
    .render_derived()
)
INSERT_EMBEDDINGS = statement(
    insert(chunk_embeddings).from_select(
        ["scope_id", "set_id", "material_id", "ordinal", "window", "embedding"],
        select(
            scope(),
            bindparam("set_id", type_=SmallInteger),
            _material_id,
            _vectors.c.ordinal,
            _vectors.c.window,
            cast(_vectors.c.vector, HALFVEC),
        ),
    )
)
_term_texts = (
    func.unnest(bindparam("ordinals", type_=ARRAY(Integer)), bindparam("texts", type_=ARRAY(Text)))
    .table_valued(column("ordinal", Integer), column("text", Text))
    .render_derived()
)
_english = cast(literal("english"), REGCONFIG)
_term = (
    func.unnest(func.to_tsvector(_english, _term_texts.c.text))
    .table_valued(column("lexeme", Text), column("positions", ARRAY(SmallInteger)), "weights")
    .lateral("term")
)
_occurrences = func.cardinality(_term.c.positions)
_inserted = (
    insert(chunk_terms)
    .from_select(
        ["scope_id", "term", "material_id", "ordinal", "occurrences", "chunk_length"],
        select(
            scope(),
            _term.c.lexeme,
            _material_id,
            _term_texts.c.ordinal,
            _occurrences,
            func.sum(_occurrences).over(partition_by=_term_texts.c.ordinal),
        )
        .select_from(_term_texts)
        .join(_term, true()),
    )
    .returning(chunk_terms.c.occurrences)
    .cte("inserted")
)
INSERT_TERMS = statement(select(func.coalesce(func.sum(_inserted.c.occurrences), literal(0))), int)


async def claim(transaction: Transaction, scope_id: str, material_id: str) -> ClaimedRow | None:
    """Begins an attempt, after which no other attempt may write. Returns None if the processing is over."""
    return await transaction.one(CLAIM, scope_id=scope_id, material_id=material_id)


class Attempt:
    """One attempt of a worker at one material."""

    def __init__(self, scope_id: str, material_id: str, number: int) -> None:
        self._key = {"scope_id": scope_id, "material_id": material_id}
        self._attempt_key = {**self._key, "attempt": number}

    async def advance(
        self, transaction: Transaction, stage: str, progress: int, *, made_progress: bool = False
    ) -> None:
        """Sets the stage and locks the material until the transaction ends. Raises AttemptSuperseded."""
        step = {"stage": stage, "progress": progress, "made_progress": made_progress}
        if not await transaction.run(ADVANCE, **step, **self._attempt_key):
            raise AttemptSuperseded()

    async def give_back(self, transaction: Transaction) -> None:
        """Does not count the attempt as failed, because it was stopped."""
        await transaction.run(GIVE_BACK, **self._attempt_key)

    async def save_chunks(
        self, transaction: Transaction, chunks: Sequence[ChunkDraft], page_count: int
    ) -> None:
        """Replaces the chunks of the material. Call `advance` first in the same transaction."""
        await transaction.run(DELETE_CHUNKS, **self._key)
        await transaction.run(
            INSERT_CHUNKS,
            pages=[chunk.page for chunk in chunks],
            sections=[chunk.section for chunk in chunks],
            starts=[chunk.char_start for chunk in chunks],
            ends=[chunk.char_end for chunk in chunks],
            texts=[chunk.text for chunk in chunks],
            places=[json.dumps(chunk.places, ensure_ascii=False) for chunk in chunks],
            **self._key,
        )
        counts = {"chunk_count": len(chunks), "page_count": page_count}
        await transaction.run(SET_COUNTS, **counts, **self._attempt_key)

    async def get_last_embedded(self, executor: Executor, set_id: int) -> int:
        """Returns the ordinal of the last chunk whose vectors are stored, or -1."""
        last = await executor.one(GET_LAST_EMBEDDED, set_id=set_id, **self._key)
        assert last is not None
        return last

    async def get_chunk_count(self, executor: Executor) -> int:
        """Returns the number of chunks of the material."""
        return await executor.one(GET_CHUNK_COUNT, **self._key) or 0

    async def list_chunks_after(self, executor: Executor, after: int, limit: int) -> list[UnembeddedChunkRow]:
        """Lists the next chunks after an ordinal, in order."""
        return await executor.all(LIST_CHUNKS_AFTER, after=after, limit=limit, **self._key)

    async def save_embeddings(
        self, transaction: Transaction, set_id: int, vectors: Sequence[tuple[int, int, Vector]]
    ) -> None:
        """Stores vectors by ordinal and window. Call `advance` first in the same transaction."""
        await transaction.run(
            INSERT_EMBEDDINGS,
            set_id=set_id,
            ordinals=[ordinal for ordinal, _, _ in vectors],
            windows=[window for _, window, _ in vectors],
            vectors=[to_pgvector(vector) for _, _, vector in vectors],
            **self._key,
        )

    async def finish(self, transaction: Transaction) -> None:
        """Inserts the postings and sets the material to READY. Call `advance` first in the same transaction."""
        term_count = 0
        after = -1
        while chunks := await self.list_chunks_after(transaction, after, _TERM_BATCH_CHUNKS):
            # In a thread, because a batch takes several milliseconds.
            texts = await asyncio.to_thread(
                lambda rows: [to_term_text(f"{row.section} {row.text}") for row in rows], chunks
            )
            ordinals = [chunk.ordinal for chunk in chunks]
            term_count += (
                await transaction.one(INSERT_TERMS, ordinals=ordinals, texts=texts, **self._key) or 0
            )
            after = ordinals[-1]
        await transaction.run(FINISH, term_count=term_count, **self._attempt_key)

    async def fail(self, transaction: Transaction, reason: str, message: str) -> None:
        """Sets the material to FAILED. Raises AttemptSuperseded."""
        failure = {"failure_reason": reason, "failure_message": message}
        if not await transaction.run(FAIL, **failure, **self._attempt_key):
            raise AttemptSuperseded()
