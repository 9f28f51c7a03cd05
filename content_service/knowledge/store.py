"""SQL of search and of embedding sets."""

from pathlib import Path

from sqlalchemy import bindparam, null, select, text, update
from sqlalchemy.dialects.postgresql import insert

from chassis.database import Executor, Transaction, statement
from content_service.knowledge.embeddings import Vector, to_pgvector
from content_service.knowledge.terms import to_term_text
from content_service.knowledge.types import ChunkRow
from content_service.tables import embedding_sets, knowledge_settings


def _read_sql(name: str) -> str:
    """Returns the text of an SQL file of this package without comments, because psycopg parses it per call."""
    lines = Path(__file__).with_name(name).read_text(encoding="utf-8").splitlines()
    return "\n".join(code for line in lines if (code := line.partition("--")[0].rstrip()))


SEARCH = statement(text(_read_sql("search.sql")), ChunkRow)
INSERT_EMBEDDING_SET = statement(
    insert(embedding_sets)
    .values(model=bindparam("model"), dimension=bindparam("dimension"))
    .on_conflict_do_nothing()
)
GET_EMBEDDING_SET = statement(
    select(embedding_sets.c.set_id).where(
        embedding_sets.c.model == bindparam("model"), embedding_sets.c.dimension == bindparam("dimension")
    ),
    int,
)
ACTIVATE_IF_NONE = statement(
    update(knowledge_settings)
    .where(knowledge_settings.c.active_set_id == null())
    .values(active_set_id=bindparam("set_id"))
)


async def search(
    executor: Executor,
    scope_id: str,
    query_text: str,
    vector: Vector,
    model: str,
    *,
    content_id: str | None = None,
    top_k: int = 0,
) -> list[ChunkRow]:
    """Returns the chunks of a class that are relevant to a query, best first.

    `vector` is the embedding of the query by `model`. If that is not the model of the active set, only the
    lexical ranking counts. `content_id` restricts the search to a content and its descendants. A `top_k` of 0
    means the configured number.
    """
    return await executor.all(
        SEARCH,
        scope_id=scope_id,
        query_text=to_term_text(query_text),
        vector=to_pgvector(vector),
        model=model,
        dimension=len(vector),
        content_id=content_id,
        top_k=top_k,
    )


async def ensure_embedding_set(transaction: Transaction, model: str, dimension: int) -> int:
    """Returns the id of the embedding set of a model; creates the set if it is missing.

    The first set that is created becomes the active one.
    """
    await transaction.run(INSERT_EMBEDDING_SET, model=model, dimension=dimension)
    set_id = await transaction.one(GET_EMBEDDING_SET, model=model, dimension=dimension)
    assert set_id is not None
    await transaction.run(ACTIVATE_IF_NONE, set_id=set_id)
    return set_id
