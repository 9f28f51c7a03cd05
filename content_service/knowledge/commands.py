"""Use cases of search."""

from chassis.database import Executor
from content_service.knowledge import rules, store
from content_service.knowledge.embeddings import Embedder
from content_service.knowledge.text import to_compatibility_form
from content_service.knowledge.types import ChunkRow


async def search(
    executor: Executor, embedder: Embedder, class_id: str, query: str, *, content_id: str | None, top_k: int
) -> list[ChunkRow]:
    """Returns the chunks that are relevant to a query, best first; none if the query has no visible text."""
    query_text = rules.normalize_query(query)
    if not query_text:
        return []
    vector = await embedder.embed_query(to_compatibility_form(query_text))
    return await store.search(
        executor, class_id, query_text, vector, embedder.name, content_id=content_id, top_k=top_k
    )
