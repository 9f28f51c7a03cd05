"""SQL of processing a material. Every write of a worker asks whether its attempt is still the last."""

from collections.abc import Sequence
from typing import NamedTuple

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
    null,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import REGCONFIG
from sqlalchemy.dialects.postgresql import insert as upsert

from chassis.database import Executor, Transaction, statement
from chassis.models.embeddings import Vector, vector_text
from content_service.authoring.visibility import scope
from content_service.materials.ingestion.chunking import Passage
from content_service.materials.rules import FAILED, PENDING, PROCESSING, READY
from content_service.tables import (
    Chunk,
    ChunkEmbedding,
    ChunkTerm,
    EmbeddingSet,
    KnowledgeSettings,
    Material,
)


class ClaimedRow(NamedTuple):
    """What a worker needs to know of the material that it has claimed."""

    attempt: int
    fruitless: int
    storage_key: str
    content_type: str
    chunk_count: int
    chunk_tokens: int
    chunk_overlap_tokens: int
    window_characters: int


class WaitingRow(NamedTuple):
    """A passage that is not embedded yet."""

    ordinal: int
    section: str
    text: str


class Superseded(Exception):
    """Another worker has claimed the material since."""


_material_id = bindparam("material_id", type_=Material.material_id.type)
_THE_MATERIAL = (Material.scope_id == scope(), Material.material_id == _material_id)
_MINE = (*_THE_MATERIAL, Material.status == PROCESSING, Material.attempt == bindparam("attempt"))

CLAIM = statement(
    update(Material)
    .where(
        *_THE_MATERIAL,
        or_(Material.status == PENDING, Material.status == PROCESSING),
        KnowledgeSettings.singleton == true(),
    )
    .values(
        attempt=Material.attempt + 1,
        fruitless=Material.fruitless + 1,
        status=literal(PROCESSING),
        stage=case((Material.chunk_count > 0, literal("EMBEDDING")), else_=literal("EXTRACTING")),
        updated_at=func.clock_timestamp(),
    )
    .returning(
        Material.attempt,
        Material.fruitless,
        Material.storage_key,
        Material.content_type,
        Material.chunk_count,
        KnowledgeSettings.chunk_tokens,
        KnowledgeSettings.chunk_overlap_tokens,
        KnowledgeSettings.window_characters,
    ),
    ClaimedRow,
)
ADVANCE = statement(
    update(Material)
    .where(*_MINE)
    .values(
        stage=bindparam("stage"),
        progress=func.greatest(Material.progress, bindparam("progress", type_=SmallInteger)),
        fruitless=case((bindparam("fruitful", type_=Boolean), literal(0)), else_=Material.fruitless),
        updated_at=func.clock_timestamp(),
    )
)
COUNT_CHUNKS = statement(
    update(Material)
    .where(*_MINE)
    .values(chunk_count=bindparam("chunk_count"), page_count=bindparam("page_count"))
)
FINISH = statement(
    update(Material)
    .where(*_MINE)
    .values(
        status=literal(READY),
        stage=literal(READY),
        progress=literal(100),
        term_count=bindparam("term_count"),
        updated_at=func.clock_timestamp(),
    )
)
FAIL = statement(
    update(Material)
    .where(*_MINE)
    .values(
        status=literal(FAILED),
        stage=literal(FAILED),
        failure_reason=bindparam("failure_reason"),
        failure_message=bindparam("failure_message"),
        updated_at=func.clock_timestamp(),
    )
)
_of_chunks = (Chunk.scope_id == scope(), Chunk.material_id == _material_id)
DROP_CHUNKS = statement(delete(Chunk).where(*_of_chunks))
_passages = (
    func.unnest(
        bindparam("pages", type_=ARRAY(Integer)),
        bindparam("sections", type_=ARRAY(Text)),
        bindparam("starts", type_=ARRAY(Integer)),
        bindparam("ends", type_=ARRAY(Integer)),
        bindparam("texts", type_=ARRAY(Text)),
    )
    .table_valued("page", "section", "char_start", "char_end", "text", with_ordinality="place")
    .render_derived()
)
ADD_CHUNKS = statement(
    insert(Chunk).from_select(
        ["scope_id", "material_id", "ordinal", "page", "section", "char_start", "char_end", "text"],
        select(
            scope(),
            _material_id,
            _passages.c.place - 1,
            _passages.c.page,
            _passages.c.section,
            _passages.c.char_start,
            _passages.c.char_end,
            _passages.c.text,
        ),
    )
)
_of_embeddings = (
    ChunkEmbedding.scope_id == scope(),
    ChunkEmbedding.set_id == bindparam("set_id"),
    ChunkEmbedding.material_id == _material_id,
)
LAST_EMBEDDED = statement(
    select(func.coalesce(func.max(ChunkEmbedding.ordinal), literal(-1))).where(*_of_embeddings), int
)
CHUNK_COUNT = statement(select(Material.chunk_count).where(*_THE_MATERIAL), int)
WAITING = statement(
    select(Chunk.ordinal, Chunk.section, Chunk.text)
    .where(*_of_chunks, Chunk.ordinal > bindparam("after"))
    .order_by(Chunk.ordinal)
    .limit(bindparam("limit")),
    WaitingRow,
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
ADD_EMBEDDINGS = statement(
    insert(ChunkEmbedding).from_select(
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
_english = cast(literal("english"), REGCONFIG)
_term = (
    func.unnest(func.to_tsvector(_english, Chunk.section + literal(" ") + Chunk.text))
    .table_valued(column("lexeme", Text), column("positions", ARRAY(SmallInteger)), "weights")
    .lateral("term")
)
_occurrences = func.cardinality(_term.c.positions)
_written = (
    insert(ChunkTerm)
    .from_select(
        ["scope_id", "term", "material_id", "ordinal", "occurrences", "chunk_length"],
        select(
            Chunk.scope_id,
            _term.c.lexeme,
            Chunk.material_id,
            Chunk.ordinal,
            _occurrences,
            func.sum(_occurrences).over(partition_by=Chunk.ordinal),
        )
        .join(_term, true())
        .where(*_of_chunks),
    )
    .returning(ChunkTerm.occurrences)
    .cte("written")
)
ADD_TERMS = statement(select(func.coalesce(func.sum(_written.c.occurrences), literal(0))), int)
ADD_SET = statement(
    upsert(EmbeddingSet)
    .values(model=bindparam("model"), dimension=bindparam("dimension"))
    .on_conflict_do_nothing()
)
SET = statement(
    select(EmbeddingSet.set_id).where(
        EmbeddingSet.model == bindparam("model"), EmbeddingSet.dimension == bindparam("dimension")
    ),
    int,
)
ACTIVATE_FIRST = statement(
    update(KnowledgeSettings)
    .where(KnowledgeSettings.active_set_id == null())
    .values(active_set_id=bindparam("set_id"))
)


async def embedding_set(transaction: Transaction, model: str, dimension: int) -> int:
    """The set of a model's vectors; the first one that is ever asked for becomes the active one."""
    await transaction.run(ADD_SET, model=model, dimension=dimension)
    set_id = await transaction.one(SET, model=model, dimension=dimension)
    assert set_id is not None
    await transaction.run(ACTIVATE_FIRST, set_id=set_id)
    return set_id


async def claim(transaction: Transaction, scope_id: str, material_id: str) -> ClaimedRow | None:
    """Makes the caller the only worker that may write; None where nothing is to be done."""
    return await transaction.one(CLAIM, scope_id=scope_id, material_id=material_id)


class Attempt:
    """One worker's attempt at one material. Each method raises Superseded where it is not the last."""

    def __init__(self, scope_id: str, material_id: str, number: int) -> None:
        self._key = {"scope_id": scope_id, "material_id": material_id}
        self._mine = {**self._key, "attempt": number}

    async def advance(
        self, transaction: Transaction, stage: str, progress: int, *, fruitful: bool = False
    ) -> None:
        """Enters a stage or moves on within it; holds the material until the transaction ends."""
        step = {"stage": stage, "progress": progress, "fruitful": fruitful}
        if not await transaction.run(ADVANCE, **step, **self._mine):
            raise Superseded()

    async def save_chunks(
        self, transaction: Transaction, passages: Sequence[Passage], page_count: int
    ) -> None:
        """Stores the passages in place of any that an attempt left behind. Call `advance` before."""
        await transaction.run(DROP_CHUNKS, **self._key)
        await transaction.run(
            ADD_CHUNKS,
            pages=[passage.page for passage in passages],
            sections=[passage.section for passage in passages],
            starts=[passage.char_start for passage in passages],
            ends=[passage.char_end for passage in passages],
            texts=[passage.text for passage in passages],
            **self._key,
        )
        counts = {"chunk_count": len(passages), "page_count": page_count}
        await transaction.run(COUNT_CHUNKS, **counts, **self._mine)

    async def last_embedded(self, executor: Executor, set_id: int) -> int:
        """The ordinal of the last passage whose vectors are stored, or -1."""
        last = await executor.one(LAST_EMBEDDED, set_id=set_id, **self._key)
        assert last is not None
        return last

    async def chunk_count(self, executor: Executor) -> int:
        """How many passages there are to embed."""
        return await executor.one(CHUNK_COUNT, **self._key) or 0

    async def waiting(self, executor: Executor, after: int, limit: int) -> list[WaitingRow]:
        """The next passages to embed."""
        return await executor.all(WAITING, after=after, limit=limit, **self._key)

    async def save_embeddings(
        self, transaction: Transaction, set_id: int, vectors: Sequence[tuple[int, int, Vector]]
    ) -> None:
        """Stores vectors by ordinal and window. Call `advance` before."""
        await transaction.run(
            ADD_EMBEDDINGS,
            set_id=set_id,
            ordinals=[ordinal for ordinal, _, _ in vectors],
            windows=[window for _, window, _ in vectors],
            vectors=[vector_text(vector) for _, _, vector in vectors],
            **self._key,
        )

    async def finish(self, transaction: Transaction) -> None:
        """Writes the postings and makes the material READY. Call `advance` before."""
        term_count = await transaction.one(ADD_TERMS, **self._key)
        await transaction.run(FINISH, term_count=term_count, **self._mine)

    async def fail(self, transaction: Transaction, reason: str, message: str) -> None:
        """Gives up."""
        why = {"failure_reason": reason, "failure_message": message}
        if not await transaction.run(FAIL, **why, **self._mine):
            raise Superseded()
