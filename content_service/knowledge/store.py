"""SQL of finding passages: one statement, from the rights of the class to the text of the passages.

Words count by BM25 (Robertson and Zaragoza, The Probabilistic Relevance Framework, 2009) over
the passages that may be found, so that a class's rare words are its own. Meaning counts by the
exact cosine of each passage's nearest window. Rankings by words, by meaning and by both are
fused by reciprocal rank (Cormack, Clarke and Büttcher, 2009). Scores never leave the statement.
"""

from typing import Any

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import (
    CTE,
    ColumnElement,
    Double,
    Integer,
    Select,
    SQLColumnExpression,
    Text,
    and_,
    bindparam,
    case,
    cast,
    column,
    func,
    literal,
    null,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import REGCONFIG, UUID
from sqlalchemy.orm import aliased

from chassis.database import Executor, statement
from chassis.models.embeddings import Vector, vector_text
from content_service.authoring.rules import PUBLISHED
from content_service.authoring.visibility import scope, tree
from content_service.materials.rules import READY
from content_service.materials.store import ChunkRow
from content_service.tables import (
    Attachment,
    Chunk,
    ChunkEmbedding,
    ChunkTerm,
    Content,
    EmbeddingSet,
    KnowledgeSettings,
    Material,
    Revision,
)

# Measured on tests/benchmarks/retrieval.py, as are the defaults of the table of settings.
_SATURATION = 0.9
_LENGTH = 0.4
_MEANING_AGAINST_WORDS = 1.3
_COVERAGE_AGAINST_MEANING = 0.5


def _setting(value: SQLColumnExpression[Any]) -> ColumnElement[Any]:
    """A value of the one row of settings."""
    return select(value).where(KnowledgeSettings.singleton).scalar_subquery()


def _in(materials: CTE, material_id: SQLColumnExpression[Any]) -> ColumnElement[bool]:
    """Whether a material is among these, looked up in a hash of them.

    Written so that no join can come of it: how many materials a class has is not in the
    planner's statistics, and its guess of one makes a loop over all of them.
    """
    return material_id.in_(select(materials.c.material_id)).is_(true())


def _library() -> CTE:
    """The materials that may be found: ready, published, and attached to something visible."""
    visible = tree(published=True, below=bindparam("content_id", type_=UUID))
    holder = aliased(Revision)
    attached = (
        select(Attachment.material_id)
        .join(
            holder, and_(holder.scope_id == Attachment.scope_id, holder.revision_id == Attachment.revision_id)
        )
        .join(visible, visible.c.content_id == holder.content_id)
        .where(Attachment.scope_id == scope(), holder.scope_id == scope())
        .where(holder.state == PUBLISHED, visible.c.below)
        .cte("attached")
    )
    return (
        select(
            Material.material_id,
            Revision.revision_id,
            Revision.title,
            Material.chunk_count,
            Material.term_count,
        )
        .join(
            Content, and_(Content.scope_id == Material.scope_id, Content.content_id == Material.material_id)
        )
        .join(
            Revision,
            and_(Revision.scope_id == Material.scope_id, Revision.content_id == Material.material_id),
        )
        .where(Material.scope_id == scope(), Material.status == READY, _in(attached, Material.material_id))
        .where(Revision.state == PUBLISHED, Content.deleted_at == null())
        .cte("library")
        .prefix_with("MATERIALIZED")
    )


def _words(library: CTE) -> CTE:
    """`score` by BM25 as a share of the highest possible, and `coverage` of the question's words."""
    english = cast(literal("english"), REGCONFIG)
    lexemes = func.unnest(func.to_tsvector(english, bindparam("question", type_=Text)))
    asked = (
        select(lexemes.table_valued(column("lexeme", Text)).c.lexeme).cte("asked").prefix_with("MATERIALIZED")
    )
    posting = (
        select(
            ChunkTerm.term,
            ChunkTerm.material_id,
            ChunkTerm.ordinal,
            ChunkTerm.occurrences,
            ChunkTerm.chunk_length,
        )
        .join(asked, asked.c.lexeme == ChunkTerm.term)
        .where(ChunkTerm.scope_id == scope(), _in(library, ChunkTerm.material_id))
        .cte("posting")
        .prefix_with("MATERIALIZED")
    )
    chunks = func.sum(library.c.chunk_count)
    corpus = select(
        cast(chunks, Double).label("chunks"),
        cast(func.sum(library.c.term_count) / chunks, Double).label("length"),
    ).cte("corpus")
    frequency = select(posting.c.term, func.count().label("chunks")).group_by(posting.c.term).cte("frequency")
    found = func.coalesce(frequency.c.chunks, 0)
    weight = select(
        asked.c.lexeme,
        func.ln(1 + (corpus.c.chunks - found + 0.5) / (found + 0.5)).label("idf"),
        corpus.c.length,
    ).select_from(asked.join(corpus, true()).outerjoin(frequency, frequency.c.term == asked.c.lexeme))
    weights = weight.cte("weights")
    whole = select(func.sum(weights.c.idf)).scalar_subquery()
    length = 1 - _LENGTH + _LENGTH * posting.c.chunk_length / weights.c.length
    saturated = posting.c.occurrences / (posting.c.occurrences + _SATURATION * length)
    return (
        select(
            posting.c.material_id,
            posting.c.ordinal,
            (func.sum(weights.c.idf * saturated) / whole).label("score"),
            (func.sum(weights.c.idf) / whole).label("coverage"),
        )
        .join(weights, weights.c.lexeme == posting.c.term)
        .group_by(posting.c.material_id, posting.c.ordinal)
        .cte("words")
        .prefix_with("MATERIALIZED")
    )


def _meaning(library: CTE) -> CTE:
    """`cosine` of the window that is nearest to the question; exact, behind the key of the class."""
    active = (
        select(EmbeddingSet.set_id)
        .join(KnowledgeSettings, KnowledgeSettings.active_set_id == EmbeddingSet.set_id)
        .where(EmbeddingSet.model == bindparam("model"), EmbeddingSet.dimension == bindparam("dimension"))
        .scalar_subquery()
    )
    # A subquery, for else each row would read the question's digits again.
    question = select(cast(bindparam("vector", type_=Text), HALFVEC)).scalar_subquery()
    distance = ChunkEmbedding.embedding.op("<=>", return_type=Double)(question)
    return (
        select(
            ChunkEmbedding.material_id,
            ChunkEmbedding.ordinal,
            (1 - func.min(distance)).label("cosine"),
        )
        .where(
            ChunkEmbedding.scope_id == scope(),
            ChunkEmbedding.set_id == active,
            _in(library, ChunkEmbedding.material_id),
        )
        .group_by(ChunkEmbedding.material_id, ChunkEmbedding.ordinal)
        .cte("meaning")
        .prefix_with("MATERIALIZED")
    )


def _best(ranking: CTE, score: ColumnElement[Any]) -> Select[Any]:
    best = (
        select(ranking.c.material_id, ranking.c.ordinal)
        .order_by(score.desc(), ranking.c.material_id, ranking.c.ordinal)
        .limit(_setting(KnowledgeSettings.candidates))
        .subquery()
    )
    return select(best.c.material_id, best.c.ordinal)


def _rated(words: CTE, meaning: CTE) -> CTE:
    """The best by words and the best by meaning, each with all that is known of it."""
    candidates = (
        _best(words, words.c.score)
        .union(_best(meaning, meaning.c.cosine))
        .cte("candidates")
        .prefix_with("MATERIALIZED")
    )
    key = (candidates.c.material_id, candidates.c.ordinal)
    score = func.coalesce(words.c.score, 0.0)
    cosine = func.coalesce(meaning.c.cosine, 0.0)
    in_words = and_(words.c.material_id == key[0], words.c.ordinal == key[1])
    in_meaning = and_(meaning.c.material_id == key[0], meaning.c.ordinal == key[1])
    return (
        select(
            *key,
            score.label("score"),
            cosine.label("cosine"),
            (score + _MEANING_AGAINST_WORDS * cosine).label("both"),
            (cosine + _COVERAGE_AGAINST_MEANING * func.coalesce(words.c.coverage, 0.0)).label("bearing"),
        )
        .select_from(candidates.outerjoin(words, in_words).outerjoin(meaning, in_meaning))
        .cte("rated")
        .prefix_with("MATERIALIZED")
    )


def _fused(rated: CTE) -> CTE:
    def share(score: ColumnElement[Any], weight: SQLColumnExpression[Any]) -> ColumnElement[Any]:
        order = (score.desc(), rated.c.material_id, rated.c.ordinal)
        rank = func.row_number().over(order_by=order)
        return case((score > 0, _setting(weight) / (_setting(KnowledgeSettings.fusion_k) + rank)), else_=0.0)

    return (
        select(
            rated.c.material_id,
            rated.c.ordinal,
            rated.c.bearing,
            func.max(rated.c.bearing).over().label("best_bearing"),
            (
                share(rated.c.score, KnowledgeSettings.words_weight)
                + share(rated.c.cosine, KnowledgeSettings.meaning_weight)
                + share(rated.c.both, KnowledgeSettings.both_weight)
            ).label("merit"),
        )
        .cte("fused")
        .prefix_with("MATERIALIZED")
    )


def _search() -> Select[Any]:
    library = _library()
    fused = _fused(_rated(_words(library), _meaning(library)))
    threshold = _setting(KnowledgeSettings.bearing_threshold)
    wanted = func.coalesce(
        func.nullif(bindparam("limit", type_=Integer), 0), _setting(KnowledgeSettings.top_k)
    )
    best = (
        select(fused.c.material_id, fused.c.ordinal, fused.c.merit, library.c.revision_id, library.c.title)
        .join(library, library.c.material_id == fused.c.material_id)
        .where(
            fused.c.best_bearing >= threshold,
            fused.c.bearing >= threshold - _setting(KnowledgeSettings.bearing_margin),
        )
        .order_by(fused.c.merit.desc(), fused.c.material_id, fused.c.ordinal)
        .limit(wanted)
        .cte("best")
        .prefix_with("MATERIALIZED")
    )
    # The limit makes each passage a look-up by its key, whatever the planner expects.
    chunk = (
        select(Chunk)
        .where(Chunk.scope_id == scope())
        .where(Chunk.material_id == best.c.material_id, Chunk.ordinal == best.c.ordinal)
        .limit(1)
        .lateral("chunk")
    )
    return (
        select(
            chunk.c.scope_id,
            chunk.c.material_id,
            best.c.revision_id,
            chunk.c.chunk_id,
            best.c.title,
            chunk.c.ordinal,
            chunk.c.page,
            chunk.c.section,
            chunk.c.char_start,
            chunk.c.char_end,
            chunk.c.text,
        )
        .select_from(best.join(chunk, true()))
        .order_by(best.c.merit.desc(), best.c.material_id, best.c.ordinal)
    )


SEARCH = statement(_search(), ChunkRow)


async def search(
    executor: Executor,
    scope_id: str,
    question: str,
    vector: Vector,
    model: str,
    *,
    content_id: str | None = None,
    limit: int = 0,
) -> list[ChunkRow]:
    """The passages of a class that bear on a question, best first.

    `vector` is the question as `model` embeds it; where that is not the model of the active
    set, words alone decide. `content_id` narrows the search to what stands there; 0 is the
    configured `limit`.
    """
    return await executor.all(
        SEARCH,
        scope_id=scope_id,
        question=question,
        vector=vector_text(vector),
        model=model,
        dimension=len(vector),
        content_id=content_id,
        limit=limit,
    )
